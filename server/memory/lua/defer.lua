-- A window's summary and facts did not come: try again later, each time later still.
-- KEYS todo attempts    ARGV record id, now, why ("refused", "failed", "unpaid"), wait in seconds for the first, second, … time
local old = redis.call('HGET', KEYS[2], ARGV[1])
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local count = 1
if old then count = tonumber(string.match(old, '^(%d+):')) + 1 end
local wait = ARGV[math.min(3 + count, #ARGV)]
redis.call('HSET', KEYS[2], ARGV[1], count .. ':' .. ARGV[3])
redis.call('ZADD', KEYS[1], tonumber(ARGV[2]) + tonumber(wait), ARGV[1])
return count
