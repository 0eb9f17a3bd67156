-- Ends a job that cannot be done, or that was given up.
-- ARGV id, fence, state ('failed' | 'dead' | 'cancelled'), error (json, '' none)
-- → 1 | 0 it is another's by now, or somebody wants a cancelled one again: then it waits once more
local id, h = ARGV[1], holds(ARGV[1], ARGV[2])
if not h then return 0 end
if ARGV[3] == 'cancelled' and not h.cancelling then
  redis.call('HDEL', key('job', id), 'prompt_id', 'host', 'claim', 'worker')
  leave_hosts(h)
  h.share = '0'
  requeue(id, h)
  tell(id, h, 'job')
  return 0
end
if ARGV[4] ~= '' then redis.call('HSET', key('job', id), 'error', ARGV[4]) end
finish(id, h, ARGV[3])
return 1
