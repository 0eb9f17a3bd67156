-- Ends a job with its picture, once: a worker that lost its lease changes nothing.
-- ARGV id, fence, the preview (json), seconds the host rendered ('' not known), which measure they belong to
-- → 1 | 0 it is another's by now | 2 it was taken away: nothing of it is to be kept
local id, h = ARGV[1], holds(ARGV[1], ARGV[2])
if not h then return 0 end
if h.erased then
  h.begun = h.begun or whole(now)
  finish(id, h, 'cancelled')
  return 2
end
redis.call('SET', key('preview', h.tenant, h.key), ARGV[3])
redis.call('ZADD', key('previews', h.tenant), whole(now), h.key)
redis.call('SADD', key('tenants'), h.tenant)
h.share = '1'
redis.call('HSETNX', key('job', id), 'begun', whole(now))
h.begun = h.begun or whole(now)
redis.call('HSET', key('job', id), 'share', '1')
redis.call('HDEL', key('job', id), 'error')
local seconds = tonumber(ARGV[4])
if seconds then
  local before = tonumber(redis.call('HGET', key('seconds'), ARGV[5]) or ARGV[4])
  redis.call('HSET', key('seconds'), ARGV[5], tostring(before + (seconds - before) * 0.2)) -- the last few count most
  redis.call('HINCRBYFLOAT', key('totals'), 'seconds', ARGV[4])
end
finish(id, h, 'done')
return 1
