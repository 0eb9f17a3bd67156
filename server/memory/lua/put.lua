-- Replaces a message of the tail if it is still the one that was read.
-- KEYS meta tail    ARGV epoch, seq, sha1 of the json that was read, new json
-- → 1 done, 0 changed meanwhile, -1 not in the tail (closed, deleted, another epoch)
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return -1 end
local old = redis.call('HGET', KEYS[2], ARGV[2])
if not old then return -1 end
if redis.sha1hex(old) ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
return 1
