-- Holds that belong to a server, the oldest first.
-- ARGV server, at least how old (milliseconds), how many, how many are passed over before them
-- → holds
return redis.call('ZRANGEBYSCORE', key('open', ARGV[1]), '-inf', whole(now - tonumber(ARGV[2])), 'LIMIT', tonumber(ARGV[4]),
  tonumber(ARGV[3]))
