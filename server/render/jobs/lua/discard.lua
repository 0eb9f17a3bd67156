-- Takes jobs away with everything that is known of them, whoever wants them. One that may be on a host is ended by its
-- worker first, and what that has stored is not kept.
-- ARGV id, …
-- → how many are gone or going
local count = 0
for _, id in ipairs(ARGV) do
  local h = read(id)
  if h then
    count = count + 1
    if ENDED[h.state] then
      forget(id, h)
    elseif h.state == 'waiting' and not h.prompt_id then
      h.erased = '1'
      finish(id, h, 'cancelled')
    else
      redis.call('HSET', key('job', id), 'cancelling', '1', 'erased', '1')
      h.erased = '1'
      leave_hosts(h) -- now already, so that it is known to be on its way; and again once its worker is done
      redis.call('HDEL', key('job', id), 'order') -- whoever works on it has it, and nobody will begin it anew
      if redis.call('GET', key('key', h.tenant, h.key)) == id then redis.call('DEL', key('key', h.tenant, h.key)) end
      if h.state == 'waiting' then requeue(id, h) end
      tell(id, h, 'job')
    end
  end
end
return count
