-- Asks to be the probe of a model whose rest is over. KEYS[1] its state. ARGV: how long a probe has · when to forget (ms).
-- → ms to wait; 0 may go.
local state = redis.call('HMGET', KEYS[1], 'until', 'probe')
local left = math.max(number(state[1]) - now, number(state[2]) - now)
if left > 0 then
  return text(left)
end
if number(state[1]) > 0 then
  redis.call('HSET', KEYS[1], 'probe', text(now + number(ARGV[1])))
  redis.call('PEXPIRE', KEYS[1], text(number(ARGV[1]) + number(ARGV[2])))
end
return '0'
