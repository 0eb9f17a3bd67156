-- What has come loose: jobs whose worker was not heard of go back into line, those whose time has come too. Says how
-- many wait, and that this worker lives.
-- ARGV worker ('' none), milliseconds it is good for, how many at once, why nothing runs ('' nothing stands in the way)
-- → {waiting in 'user', waiting in 'prerender', came loose}
local most, loose = tonumber(ARGV[3]), 0
if ARGV[1] ~= '' then
  redis.call('ZADD', key('workers'), whole(now + tonumber(ARGV[2])), ARGV[1])
  redis.call('ZREMRANGEBYSCORE', key('workers'), '-inf', whole(now - 60000))
  redis.call('SET', key('obstacle'), ARGV[4], 'PX', whole(tonumber(ARGV[2])))
end
for _, name in ipairs({'leases', 'later'}) do
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key(name), '-inf', whole(now), 'LIMIT', 0, most)) do
    local h = read(id)
    if not h or ENDED[h.state] then
      redis.call('ZREM', key(name), id)
    else
      redis.call('HDEL', key('job', id), 'claim', 'worker')
      requeue(id, h)
      tell(id, h, 'job')
      loose = loose + 1
    end
  end
end
for _, state in ipairs({'done', 'cancelled', 'failed', 'dead'}) do
  local seconds = (state == 'failed' or state == 'dead') and DEAD_SECONDS or ENDED_SECONDS
  redis.call('ZREMRANGEBYSCORE', key('state', state), '-inf', whole(now - seconds * 1000))
end
return {redis.call('ZCARD', key('line', 'user')), redis.call('ZCARD', key('line', 'prerender')), loose}
