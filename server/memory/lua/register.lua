-- Names a record that is about to be written.
-- KEYS garbage    ARGV member, now (seconds)
return redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
