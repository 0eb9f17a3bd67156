-- Which turn an idempotency key stands for; a new one is made to stand for a turn, where one is given.
-- KEYS meta idem idem_age    ARGV now (seconds), key (hash), body (hash), ttl (seconds) [, epoch, seq]
-- → {'turn', epoch, seq} | {'new'} | {'mismatch'} | {'gone'} (the key's turn was deleted)
local age = redis.call('ZSCORE', KEYS[3], ARGV[2])
local claim = redis.call('HGET', KEYS[2], ARGV[2])
if claim and age and tonumber(age) > tonumber(ARGV[1]) then
  local epoch, seq, body = string.match(claim, '^(%d+):(%d+):(.*)$')
  if body == '' or epoch ~= redis.call('HGET', KEYS[1], 'epoch') then return {'gone'} end
  if body ~= ARGV[3] then return {'mismatch'} end
  return {'turn', epoch, seq}
end
if #ARGV == 6 and redis.call('HGET', KEYS[1], 'epoch') == ARGV[5] then
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[5] .. ':' .. ARGV[6] .. ':' .. ARGV[3])
  redis.call('ZADD', KEYS[3], tonumber(ARGV[1]) + tonumber(ARGV[4]), ARGV[2])
  redis.call('EXPIRE', KEYS[2], ARGV[4])
  redis.call('EXPIRE', KEYS[3], ARGV[4])
end
return {'new'}
