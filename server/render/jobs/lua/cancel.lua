-- Somebody does not want a job any more.
-- ARGV id, asker ('' a pre-render), 1 to end it whoever else wants it, 1 if nothing is to say that the asker ever did
-- → 'gone' | 'kept' others want it | 'cancelled' | 'stopping' its worker is told
local id, h = ARGV[1], read(ARGV[1])
if not h or ENDED[h.state] then return 'gone' end
if ARGV[4] == '1' and h.user == ARGV[2] then redis.call('HSET', key('job', id), 'user', '') end
if ARGV[3] ~= '1' then
  redis.call('SREM', key('askers', id), ARGV[2])
  if ARGV[2] ~= '' then redis.call('SREM', key('of', h.tenant .. '/' .. ARGV[2]), id) end
  if redis.call('SCARD', key('askers', id)) > 0 then return 'kept' end
end
if h.state == 'waiting' and not h.prompt_id then
  finish(id, h, 'cancelled')
  return 'cancelled'
end
redis.call('HSET', key('job', id), 'cancelling', '1') -- it may be on a host: a worker takes it off there
if h.state == 'waiting' then requeue(id, h) end
tell(id, h, 'job')
return 'stopping'
