-- Ends the conversation before a message that a closed window holds: what that window holds before it is open again.
-- KEYS meta tail windows garbage todo attempts
-- ARGV scope, epoch, index, window, kept in order (seq, json) …
-- → -1 another epoch, 0 it changed meanwhile, or {the messages deleted, record id …}
local scope = ARGV[1]
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[2] then return -1 end
if redis.call('LINDEX', KEYS[3], ARGV[3]) ~= ARGV[4] then return 0 end
local result = {redis.call('HLEN', KEYS[2]) - (#ARGV - 4) / 2}
for _, raw in ipairs(redis.call('LRANGE', KEYS[3], ARGV[3], -1)) do
  local window = cjson.decode(raw)
  result[1] = result[1] + window.n
  result[#result + 1] = window.id
  bury(KEYS[4], scope, window.id)
  redis.call('ZREM', KEYS[5], window.id)
  redis.call('HDEL', KEYS[6], window.id)
end
if tonumber(ARGV[3]) == 0 then
  redis.call('DEL', KEYS[3])
else
  redis.call('LTRIM', KEYS[3], 0, tonumber(ARGV[3]) - 1)
end
redis.call('DEL', KEYS[2])
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call('HINCRBY', KEYS[1], 'rev', 1)
drop_summary(KEYS[1], KEYS[4], scope, true)
return result
