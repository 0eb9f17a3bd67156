-- Puts a rewritten window in the place of the old one, or takes the old one out.
-- KEYS meta windows garbage todo attempts
-- ARGV scope, epoch, index, old window, old record id, new window ("" to take it out), new record id, now,
--      derive ("1": its summary and facts are to be written again), summary ("keep", "drop", "drop all")
-- → 1 done, 0 it changed meanwhile, -1 another epoch
local scope, new = ARGV[1], ARGV[6]
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[2] then return -1 end
if redis.call('LINDEX', KEYS[2], ARGV[3]) ~= ARGV[4] then return 0 end
if new == '' then
  redis.call('LSET', KEYS[2], ARGV[3], '')
  redis.call('LREM', KEYS[2], 1, '')
else
  if not alive(KEYS[3], scope, ARGV[7]) then return 0 end
  redis.call('LSET', KEYS[2], ARGV[3], new)
  redis.call('ZREM', KEYS[3], scope .. '|' .. ARGV[7])
  if ARGV[9] == '1' then redis.call('ZADD', KEYS[4], ARGV[8], ARGV[7]) end
end
bury(KEYS[3], scope, ARGV[5])
redis.call('ZREM', KEYS[4], ARGV[5])
redis.call('HDEL', KEYS[5], ARGV[5])
redis.call('HINCRBY', KEYS[1], 'rev', 1)
if ARGV[10] ~= 'keep' then drop_summary(KEYS[1], KEYS[3], scope, ARGV[10] == 'drop all') end
return 1
