-- Takes grants that are due to be told; should the teller die, they are due again.
-- KEYS untold untold-due    ARGV most, for how long (ms)    → grants
local now, taken = clock(), {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local grant = redis.call('HGET', KEYS[1], id)
  if grant then
    redis.call('ZADD', KEYS[2], now + ARGV[2], id)
    taken[#taken + 1] = grant
  else
    redis.call('ZREM', KEYS[2], id)
  end
end
return taken
