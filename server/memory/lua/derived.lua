-- A window's summary and facts are in its record now.
-- KEYS meta todo attempts derived    ARGV epoch, record id
-- → 1 done, 0 the window was rewritten, deleted or derived by another one
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
if redis.call('ZREM', KEYS[2], ARGV[2]) == 0 then return 0 end
redis.call('HDEL', KEYS[3], ARGV[2])
redis.call('RPUSH', KEYS[4], ARGV[2])
return 1
