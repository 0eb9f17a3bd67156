-- Takes what is due in a queue, for a while: who takes it and dies has only delayed it.
-- ARGV queue ("due" or "news"), how many, milliseconds
-- → members
local members = redis.call('ZRANGEBYSCORE', key(ARGV[1]), '-inf', whole(now), 'LIMIT', 0, tonumber(ARGV[2]))
for _, member in ipairs(members) do redis.call('ZADD', key(ARGV[1]), whole(now + tonumber(ARGV[3])), member) end
return members
