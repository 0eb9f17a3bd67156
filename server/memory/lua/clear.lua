-- Ends a conversation: everything of it dies at once, in Redis now and in Chroma by the garbage it leaves.
-- KEYS meta tail windows garbage todo attempts derived pins idem idem_age scopes
-- ARGV scope, next epoch ("" to leave nothing behind, the list of conversations included)
-- → {new epoch or 0, messages deleted, record id …}
local scope = ARGV[1]
local result = {0, redis.call('HLEN', KEYS[2])}
for _, raw in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
  local window = cjson.decode(raw)
  result[2] = result[2] + window.n
  result[#result + 1] = window.id
  bury(KEYS[4], scope, window.id)
end
for _, name in ipairs({'summary', 'correction'}) do
  local id = redis.call('HGET', KEYS[1], name)
  if id then
    result[#result + 1] = id
    bury(KEYS[4], scope, id)
  end
end
local epoch = redis.call('HGET', KEYS[1], 'epoch')
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6], KEYS[7])
if ARGV[2] == '' then
  redis.call('DEL', KEYS[8], KEYS[9], KEYS[10])
  redis.call('ZREM', KEYS[11], scope)
  return result
end
-- a reset keeps the notes a person wrote, and the keys of past requests, so that a late repeat adds nothing
local pins = redis.call('HGETALL', KEYS[8])
for i = 1, #pins, 2 do
  if cjson.decode(pins[i + 1]).message_id then redis.call('HDEL', KEYS[8], pins[i]) end
end
local claims = redis.call('HGETALL', KEYS[9])
for i = 1, #claims, 2 do -- without the hash of what was asked
  redis.call('HSET', KEYS[9], claims[i], string.match(claims[i + 1], '^(%d+:%d+:)'))
end
if epoch then epoch = string.format('%.0f', tonumber(epoch) + 1) else epoch = ARGV[2] end
redis.call('HSET', KEYS[1], 'epoch', epoch, 'next_seq', '1', 'rev', '0')
redis.call('ZADD', KEYS[11], 0, scope)
result[1] = tonumber(epoch)
return result
