-- Takes back a hold whose attempt never began.
-- ARGV hold
local h = read(ARGV[1])
if not h or h.closed then return 0 end
charge(h, tonumber(h.amount), -tonumber(h.amount), '')
redis.call('ZREM', key('open', h.server), ARGV[1])
redis.call('DEL', key('hold', ARGV[1]))
return 1
