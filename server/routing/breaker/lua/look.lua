-- How models stand. KEYS their states. → for each: ms it is not asked · failures in a row · when its rest ends, or 0.
local found = {}
for i, key in ipairs(KEYS) do
  local state = redis.call('HMGET', key, 'until', 'probe', 'failures')
  local left = math.max(number(state[1]) - now, number(state[2]) - now, 0)
  found[i] = { text(left), state[3] or '0', state[1] or '0' }
end
return found
