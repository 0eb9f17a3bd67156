-- Gives out a place, if nothing changed since the choice was made. ARGV: version ('' where it does not matter), slot,
-- host, the claim as JSON without its end, milliseconds of the lease, what the host loads last as JSON, passed.
-- 1, or 0 where the choice has to be made again.
if ARGV[1] ~= '' and (redis.call('GET', prefix .. 'version') or '0') ~= ARGV[1] then
  return 0
end
local claims = prefix .. 'claims'
local held = redis.call('HGETALL', claims)
for at = 1, #held, 2 do
  if cjson.decode(held[at + 1])['until'] <= now then
    redis.call('HDEL', claims, held[at])
  end
end
local claim = cjson.decode(ARGV[4])
claim['until'] = now + tonumber(ARGV[5])
redis.call('HSET', claims, ARGV[2], cjson.encode(claim))
redis.call('HSET', prefix .. 'host:' .. ARGV[3], 'tail', ARGV[6])
redis.call('SET', prefix .. 'passed', ARGV[7])
changed()
return 1
