-- Puts off something in a queue that is still there.
-- ARGV queue ("due" or "news"), member, milliseconds
redis.call('ZADD', key(ARGV[1]), 'XX', whole(now + tonumber(ARGV[3])), ARGV[2])
