-- Writes a pin.
-- KEYS meta pins scopes    ARGV scope, pin id, json, new ("1" or ""), most pins, epoch of the message it is from ("" for none)
-- → 1 done, 0 there is no such pin (or message), -1 too many
if ARGV[6] ~= '' and redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[6] then return 0 end
if ARGV[4] == '1' then
  if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[5]) then return -1 end
  redis.call('ZADD', KEYS[3], 0, ARGV[1])
elseif redis.call('HEXISTS', KEYS[2], ARGV[2]) == 0 then
  return 0
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
