-- Takes messages out of the tail.
-- KEYS meta tail    ARGV epoch, seq …
-- → how many were there
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
local count = 0
for i = 2, #ARGV do count = count + redis.call('HDEL', KEYS[2], ARGV[i]) end
return count
