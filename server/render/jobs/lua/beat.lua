-- A worker says that it is at work, and how far.
-- ARGV id, fence, milliseconds the lease is good for, share ('' as before), 1 once the host has begun
-- → 'ok' | 'cancel' nobody wants it any more | 'lost' it is another's by now
local id, h = ARGV[1], holds(ARGV[1], ARGV[2])
if not h then return 'lost' end
redis.call('ZADD', key('leases'), 'XX', whole(now + tonumber(ARGV[3])), id)
if ARGV[5] == '1' then redis.call('HSETNX', key('job', id), 'begun', whole(now)) end
if ARGV[4] ~= '' and ARGV[4] ~= h.share then
  h.share = ARGV[4]
  redis.call('HSET', key('job', id), 'share', h.share)
  tell(id, h, 'job')
end
return h.cancelling and 'cancel' or 'ok'
