-- Things that were taken come back: forgotten, or to be tried again. What was asked for again meanwhile stays due.
-- ARGV host, stamp of the lease, milliseconds until it is tried again ('' it is done), why ('' none), thing, …
local host, list = ARGV[1], key('forget', ARGV[1])
for i = 5, #ARGV do
  if redis.call('ZSCORE', list, ARGV[i]) == ARGV[2] then
    if ARGV[3] == '' then
      redis.call('ZREM', list, ARGV[i])
    else
      redis.call('ZADD', list, whole(now + tonumber(ARGV[3])), ARGV[i])
    end
  end
end
if ARGV[4] ~= '' then redis.call('HSET', key('forget-why'), host, ARGV[4]) end
if redis.call('ZCARD', list) == 0 then
  redis.call('SREM', key('forget-hosts'), host)
  redis.call('HDEL', key('forget-why'), host)
end
return 1
