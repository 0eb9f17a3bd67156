-- A server that stops in order: what it still holds is anybody's at once.
-- ARGV server
redis.call('ZADD', key('servers'), 0, ARGV[1])
