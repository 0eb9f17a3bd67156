-- Takes back a hold whose attempt never began; one that arrives only after this is refused.
-- ARGV hold
local h = read(ARGV[1])
if not h then
  redis.call('HSET', key('hold', ARGV[1]), 'closed', '0')
  redis.call('EXPIRE', key('hold', ARGV[1]), 3600)
elseif not h.closed then
  charge(h, tonumber(h.amount), -tonumber(h.amount), '')
  redis.call('ZREM', key('open', h.server), ARGV[1])
  redis.call('DEL', key('hold', ARGV[1]))
end
