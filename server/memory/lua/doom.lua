-- Gives up records whose writers are gone, and lists what is dead.
-- KEYS garbage    ARGV registered before (seconds), how many
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, tonumber(ARGV[2]))
for _, member in ipairs(members) do redis.call('ZADD', KEYS[1], 0, member) end
return members
