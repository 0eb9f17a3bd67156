-- Appends messages; the first turn brings the greeting; a known idempotency key brings back its turn.
-- KEYS meta tail windows idem idem_age scopes
-- ARGV scope, first_epoch, now (seconds), last_at, expect ("" or "epoch:next_seq"), greeting ("" or json),
--      key ("" or hash), body (hash), ttl (seconds), names ("" or json), tier ("" or name), message json …
-- → {'ok', epoch, seq of the first message, 1 if the greeting stands before it} | {'replay', epoch, seq, user json or '', reply json or ''}
--   | {'mismatch'} | {'gone'} (the key's turn was deleted) | {'moved'} (expect did not hold)
local scope, now, expect, greeting, key = ARGV[1], tonumber(ARGV[3]), ARGV[5], ARGV[6], ARGV[7]
local epoch = redis.call('HGET', KEYS[1], 'epoch')

if key ~= '' then
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now, 'LIMIT', 0, 20)) do
    redis.call('ZREM', KEYS[5], old)
    redis.call('HDEL', KEYS[4], old)
  end
  local claim = redis.call('HGET', KEYS[4], key)
  if claim then
    local then_epoch, seq, body = string.match(claim, '^(%d+):(%d+):(.*)$')
    if body == '' or then_epoch ~= epoch then return {'gone'} end
    if body ~= ARGV[8] then return {'mismatch'} end
    local user = redis.call('HGET', KEYS[2], seq)
    local reply = redis.call('HGET', KEYS[2], string.format('%.0f', tonumber(seq) + 1))
    return {'replay', epoch, seq, user or '', reply or ''}
  end
end

if not epoch then
  epoch = ARGV[2]
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'next_seq', '1', 'rev', '0')
end
if expect ~= '' and expect ~= epoch .. ':' .. redis.call('HGET', KEYS[1], 'next_seq') then return {'moved'} end
redis.call('ZADD', KEYS[6], 0, scope)

local messages = {}
if greeting ~= '' and redis.call('HLEN', KEYS[2]) == 0 and redis.call('LLEN', KEYS[3]) == 0 then
  messages[1] = greeting
end
local before = #messages
for i = 12, #ARGV do messages[#messages + 1] = ARGV[i] end
local next_seq = redis.call('HINCRBY', KEYS[1], 'next_seq', #messages)
local first = next_seq - #messages
for i, message in ipairs(messages) do
  redis.call('HSET', KEYS[2], string.format('%.0f', first + i - 1), message)
end
redis.call('HSET', KEYS[1], 'last_at', ARGV[4])
if ARGV[10] ~= '' then redis.call('HSET', KEYS[1], 'names', ARGV[10]) end
if ARGV[11] ~= '' then redis.call('HSET', KEYS[1], 'tier', ARGV[11]) end
local seq = string.format('%.0f', first + before)
if key ~= '' then
  redis.call('HSET', KEYS[4], key, epoch .. ':' .. seq .. ':' .. ARGV[8])
  redis.call('ZADD', KEYS[5], now + tonumber(ARGV[9]), key)
  redis.call('EXPIRE', KEYS[4], ARGV[9])
  redis.call('EXPIRE', KEYS[5], ARGV[9])
end
return {'ok', epoch, seq, before}
