-- Moves the head of the tail into a window whose record is already in Chroma.
-- KEYS meta tail windows garbage todo
-- ARGV scope, epoch, index, window, record id, now, (seq, sha1 of the json that was embedded) …
-- → 1 done, 0 another one was faster or the text has changed, -1 another epoch
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[2] then return -1 end
if redis.call('LLEN', KEYS[3]) ~= tonumber(ARGV[3]) then return 0 end
if not alive(KEYS[4], ARGV[1], ARGV[5]) then return 0 end
for i = 7, #ARGV, 2 do
  local json = redis.call('HGET', KEYS[2], ARGV[i])
  if not json or redis.sha1hex(json) ~= ARGV[i + 1] then return 0 end
end
redis.call('RPUSH', KEYS[3], ARGV[4])
redis.call('ZREM', KEYS[4], ARGV[1] .. '|' .. ARGV[5])
redis.call('ZADD', KEYS[5], ARGV[6], ARGV[5])
for i = 7, #ARGV, 2 do redis.call('HDEL', KEYS[2], ARGV[i]) end
return 1
