-- A worker gives a job back unfinished.
-- ARGV id, fence, milliseconds until it is tried again (0 at once), what to do with what was submitted ('keep' find it
--      again | 'loose' find it again or go elsewhere | 'drop' begin anew), what to count ('attempts' | 'losses' | ''),
--      error (json, '' as before), needs (json, '' as before)
-- → 1 | 0 it is another's by now
local id, h = ARGV[1], holds(ARGV[1], ARGV[2])
if not h then return 0 end
if ARGV[4] == 'drop' then
  redis.call('HDEL', key('job', id), 'prompt_id', 'host')
  leave_hosts(h)
  if h.cancelling then
    finish(id, h, 'cancelled')
    return 1
  end
elseif ARGV[4] == 'loose' then
  redis.call('HSET', key('job', id), 'loose', '1')
end
if ARGV[5] ~= '' then redis.call('HINCRBY', key('job', id), ARGV[5], 1) end
if ARGV[6] ~= '' then redis.call('HSET', key('job', id), 'error', ARGV[6]) end
if ARGV[7] ~= '' then redis.call('HSET', key('job', id), 'needs', ARGV[7]) end
redis.call('HDEL', key('job', id), 'claim', 'worker')
h.share = '0'
redis.call('HSET', key('job', id), 'share', '0')
local wait = tonumber(ARGV[3])
requeue(id, h)
if wait > 0 then
  redis.call('ZREM', key('line', h.line), id)
  redis.call('ZADD', key('later'), whole(now + wait), id)
end
tell(id, h, 'job')
return 1
