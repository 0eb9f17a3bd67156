-- Makes another version the live one: a version that exists, or the one that was live before.
-- KEYS live versions before moves
-- ARGV name, version ('' for the one before), the version that must be live now ('' for any), at, by, how many to keep
-- → {'moved' | 'same', live now, live until now} or {'none'} | {'other', live} | {'first', live} | {'unknown', live}
local name, to, expected, keep = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[6])
local live = redis.call('HGET', KEYS[1], name)
if not live then return { 'none' } end
if expected ~= '' and expected ~= live then return { 'other', tonumber(live) } end
if to == '' then
  to = redis.call('RPOP', KEYS[3])
  if not to then return { 'first', tonumber(live) } end
elseif redis.call('HEXISTS', KEYS[2], name .. '@' .. to) == 0 then
  return { 'unknown', tonumber(live) }
elseif to == live then
  return { 'same', tonumber(live), tonumber(live) }
else
  redis.call('RPUSH', KEYS[3], live)
  redis.call('LTRIM', KEYS[3], -keep, -1)
end
redis.call('HSET', KEYS[1], name, to)
redis.call('RPUSH', KEYS[4], cjson.encode({ at = ARGV[4], by = ARGV[5], from = tonumber(live), to = tonumber(to) }))
redis.call('LTRIM', KEYS[4], -keep, -1)
return { 'moved', tonumber(to), tonumber(live) }
