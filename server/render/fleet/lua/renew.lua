-- Puts off the end of a lease. ARGV: slot, milliseconds. 1, or 0 where it has ended and was given away.
local claims = prefix .. 'claims'
local json = redis.call('HGET', claims, ARGV[1])
if not json then
  return 0
end
local claim = cjson.decode(json)
claim['until'] = now + tonumber(ARGV[2])
redis.call('HSET', claims, ARGV[1], cjson.encode(claim))
return 1
