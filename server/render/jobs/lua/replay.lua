-- Tries an ended job again from the beginning.
-- ARGV id, asker ('' a pre-render)
-- → 'gone' | 'alive' | 'ready' its picture is there | 'replaced' another job makes it | 'spent' its order is not kept | 'replayed'
local id, h = ARGV[1], read(ARGV[1])
if not h then return 'gone' end
if not ENDED[h.state] then return 'alive' end
if redis.call('EXISTS', key('preview', h.tenant, h.key)) == 1 then return 'ready' end
if redis.call('EXISTS', key('key', h.tenant, h.key)) == 1 then return 'replaced' end
if not h.order then return 'spent' end
redis.call('PERSIST', key('job', id))
redis.call('HDEL', key('job', id), 'ended', 'error', 'prompt_id', 'host', 'started', 'begun')
h.seq = redis.call('INCR', key('seq'))
h.share = '0'
redis.call('HSET', key('job', id), 'attempts', '0', 'losses', '0', 'share', '0', 'seq', h.seq, 'price', '0')
redis.call('SET', key('key', h.tenant, h.key), id)
redis.call('PERSIST', key('askers', id))
redis.call('SADD', key('askers', id), ARGV[2])
requeue(id, h)
tell(id, h, 'job')
return 'replayed'
