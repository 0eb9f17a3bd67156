-- Makes a record that is already in Chroma the rolling summary.
-- KEYS meta windows garbage    ARGV scope, epoch, rev, windows it covers, correction it was given, record id, by ("model", "user")
-- → 1 done, 0 the text under it has changed or a newer one is there, -1 another epoch
local scope, id = ARGV[1], ARGV[6]
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'rev', 'summary', 'summary_windows', 'correction')
if meta[1] ~= ARGV[2] then return -1 end
if not alive(KEYS[3], scope, id) then return 0 end
if ARGV[7] == 'model' then
  if (meta[2] or '0') ~= ARGV[3] or (meta[5] or '') ~= ARGV[5] then return 0 end
  if meta[3] and tonumber(meta[4]) > tonumber(ARGV[4]) then return 0 end
  if meta[3] and meta[3] ~= meta[5] then bury(KEYS[3], scope, meta[3]) end
else
  drop_summary(KEYS[1], KEYS[3], scope, true)
  redis.call('HSET', KEYS[1], 'correction', id)
end
redis.call('HSET', KEYS[1], 'summary', id, 'summary_windows', ARGV[4])
redis.call('ZREM', KEYS[3], scope .. '|' .. id)
return 1
