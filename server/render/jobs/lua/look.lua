-- Jobs as they are, with their places in line.
-- ARGV id, …
-- → for each: false, or {position ('' it does not wait), 1 if it waits for another try, hash: name, value, …}; then what
--   stands in the way ('' nothing, 'no_worker' …)
local found = {}
for i, id in ipairs(ARGV) do
  local flat = redis.call('HGETALL', key('job', id))
  if #flat == 0 then
    found[i] = false
  else
    local h = {}
    for at = 1, #flat, 2 do h[flat[at]] = flat[at + 1] end
    h.order, h.needs = nil, nil
    local place, later = '', '0'
    if h.state == 'waiting' then
      local rank = redis.call('ZRANK', key('line', h.line), id)
      if rank then
        place = whole(rank + (h.line == 'prerender' and redis.call('ZCARD', key('line', 'user')) or 0))
      else
        place, later = '0', '1'
      end
    end
    local out = {place, later}
    for name, value in pairs(h) do
      out[#out + 1] = name
      out[#out + 1] = value
    end
    found[i] = out
  end
end
local obstacle = redis.call('GET', key('obstacle'))
found[#ARGV + 1] = obstacle == false and 'no_worker' or obstacle
return found
