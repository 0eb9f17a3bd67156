-- Takes a message and all after it out of the tail.
-- KEYS meta tail    ARGV epoch, seq
-- → how many those were, -1 if it is not in the tail (any more)
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] or redis.call('HEXISTS', KEYS[2], ARGV[2]) == 0 then return -1 end
local first, count = tonumber(ARGV[2]), 0
for _, seq in ipairs(redis.call('HKEYS', KEYS[2])) do
  if tonumber(seq) >= first then count = count + redis.call('HDEL', KEYS[2], seq) end
end
return count
