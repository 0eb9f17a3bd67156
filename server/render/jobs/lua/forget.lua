-- Notes things that a host is to forget. Whatever stood in the way before, it is tried now.
-- ARGV host, thing, …
redis.call('HDEL', key('forget-why'), ARGV[1])
for i = 2, #ARGV do to_forget(ARGV[1], ARGV[i], now) end
return 1
