-- A grant could not be told: it is tried again.
-- KEYS untold-due    ARGV id, after how long (ms)
return redis.call('ZADD', KEYS[1], 'XX', clock() + ARGV[2], ARGV[1])
