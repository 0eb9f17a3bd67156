-- What a host is to forget now. It is not given to anybody else until it comes back or its time is up.
-- ARGV host, how many at once, milliseconds the lease is good for, how many are kept in all
-- → {stamp of the lease, given up because there are too many, thing, …}
local list, over = key('forget', ARGV[1]), 0
over = redis.call('ZCARD', list) - tonumber(ARGV[4])
if over > 0 then redis.call('ZREMRANGEBYRANK', list, 0, over - 1) end
local stamp = whole(now + tonumber(ARGV[3]))
local found = {stamp, whole(math.max(over, 0))}
for _, thing in ipairs(redis.call('ZRANGEBYSCORE', list, '-inf', whole(now), 'LIMIT', 0, tonumber(ARGV[2]))) do
  redis.call('ZADD', list, stamp, thing)
  found[#found + 1] = thing
end
return found
