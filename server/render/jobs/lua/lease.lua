-- Gives a waiting job to a worker. What it will submit under is written before anything is submitted; a job that was
-- submitted before keeps its prompt.
-- ARGV id, worker, milliseconds the lease is good for, host, claim (json), a new prompt id
-- → false where it does not wait any more, or the hash: name, value, …
local id, h = ARGV[1], read(ARGV[1])
if not h or h.state ~= 'waiting' or not redis.call('ZSCORE', key('line', h.line), id) then return false end
redis.call('ZREM', key('line', h.line), id)
redis.call('ZADD', key('leases'), whole(now + tonumber(ARGV[3])), id)
redis.call('HINCRBY', key('job', id), 'fence', 1)
redis.call('HSET', key('job', id), 'worker', ARGV[2], 'host', ARGV[4], 'claim', ARGV[5], 'share', '0')
redis.call('HSETNX', key('job', id), 'prompt_id', ARGV[6])
redis.call('HSETNX', key('job', id), 'started', whole(now))
h.share = '0'
move(id, h, 'running')
tell(id, h, 'job')
return redis.call('HGETALL', key('job', id))
