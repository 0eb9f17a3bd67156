-- One more failure of a host. ARGV: host, milliseconds of the first rest, of the longest, why. Each rest is twice the
-- one before, until a render goes well. Failures of renders that were under way together count once.
-- Milliseconds that it rests.
local host = prefix .. 'host:' .. ARGV[1]
local ends = tonumber(redis.call('HGET', host, 'bench_until') or '0')
if ends > now then
  return ends - now
end
local failures = redis.call('HINCRBY', host, 'failures', 1)
local rest = math.min(tonumber(ARGV[3]), tonumber(ARGV[2]) * 2 ^ math.min(failures - 1, 20))
redis.call('HSET', host, 'bench_until', text(now + rest), 'bench_why', ARGV[4], 'tail', '[]')
changed()
return math.floor(rest)
