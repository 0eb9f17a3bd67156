-- One key, one job: joins the one that is on its way, else makes it. Raising a pre-render puts it before everybody
-- else's, so it counts like making one.
-- ARGV id, tenant, key, asker ('' a pre-render), line, how many a person may wait for ('' any number), 1 if a job may be
--      made (else one is only joined), then the fields of the new job's hash: name, value, …
-- → {'ready' | 'full' | 'none', ''} | {'joined' | 'raised' | 'made', id}
local id, tenant, k, asker, line, limit = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
if redis.call('EXISTS', key('preview', tenant, k)) == 1 then return {'ready', ''} end
local at, mine = key('key', tenant, k), key('of', tenant .. '/' .. asker)

local function wanted(job)
  redis.call('SADD', key('askers', job), asker)
  if asker ~= '' then redis.call('SADD', mine, job) end
end

local full = asker ~= '' and limit and redis.call('SCARD', mine) >= limit
local there = redis.call('GET', at)
local h = there and read(there)
if h and not ENDED[h.state] then
  if full and h.line == 'prerender' then return {'full', ''} end
  wanted(there)
  redis.call('HDEL', key('job', there), 'cancelling')
  if line == 'user' and h.line == 'prerender' then
    local waits = redis.call('ZREM', key('line', 'prerender'), there) == 1
    h.line, h.seq = 'user', redis.call('INCR', key('seq'))
    redis.call('HSET', key('job', there), 'line', 'user', 'seq', h.seq, 'user', asker)
    if waits then redis.call('ZADD', key('line', 'user'), h.seq, there) end
    tell(there, h, 'job')
    return {'raised', there}
  end
  return {'joined', there}
end

if ARGV[7] ~= '1' then return {'none', ''} end
if full then return {'full', ''} end
local seq = redis.call('INCR', key('seq'))
redis.call('HSET', key('job', id), 'id', id, 'tenant', tenant, 'key', k, 'user', asker, 'line', line, 'state', 'waiting',
  'seq', seq, 'share', '0', 'attempts', '0', 'losses', '0', 'fence', '0', 'created', whole(now))
for i = 8, #ARGV, 2 do redis.call('HSET', key('job', id), ARGV[i], ARGV[i + 1]) end
redis.call('SET', at, id)
redis.call('DEL', key('failed', tenant, k))
wanted(id)
redis.call('ZADD', key('line', line), seq, id)
redis.call('ZADD', key('state', 'waiting'), whole(now), id)
tell(id, read(id), 'job')
return {'made', id}
