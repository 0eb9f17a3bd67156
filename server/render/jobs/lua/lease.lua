-- Gives a waiting job to a worker. What it will submit under is written before anything is submitted. The same host gets
-- the same prompt again, and runs it only if it does not know it; what another host still has is noted as stale.
-- ARGV id, worker, milliseconds the lease is good for, host ('' as before), claim (json), a new prompt id
-- → false where it does not wait any more, or the hash: name, value, …
local id, h = ARGV[1], read(ARGV[1])
if not h or h.state ~= 'waiting' or not redis.call('ZSCORE', key('line', h.line), id) then return false end
redis.call('ZREM', key('line', h.line), id)
redis.call('ZADD', key('leases'), whole(now + tonumber(ARGV[3])), id)
redis.call('HINCRBY', key('job', id), 'fence', 1)
redis.call('HSET', key('job', id), 'worker', ARGV[2], 'claim', ARGV[5], 'share', '0')
redis.call('HDEL', key('job', id), 'loose')
redis.call('HSETNX', key('job', id), 'started', whole(now))
if ARGV[4] ~= '' and not (h.prompt_id and h.host == ARGV[4]) then
  if h.prompt_id then
    redis.call('HSET', key('job', id), 'stale', (h.stale and h.stale .. ' ' or '') .. h.host .. '/' .. h.prompt_id)
  end
  redis.call('HSET', key('job', id), 'host', ARGV[4], 'prompt_id', ARGV[6])
end
h.share = '0'
move(id, h, 'running')
tell(id, h, 'job')
return redis.call('HGETALL', key('job', id))
