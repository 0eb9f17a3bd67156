-- Holds that belong to a server, the oldest first.
-- ARGV server, at least how old (milliseconds), how many
-- → holds
return redis.call('ZRANGEBYSCORE', key('open', ARGV[1]), '-inf', whole(now - tonumber(ARGV[2])), 'LIMIT', 0, tonumber(ARGV[3]))
