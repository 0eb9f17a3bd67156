-- An item comes into an inventory, out of the giver's where there is one.
-- KEYS items inventory answered answered-age untold untold-due
-- ARGV prefix, item, user, giver ('' for the shop), grant id, grant (JSON), most owned,
--      idempotency key ('' for none), what is asked (64 characters), most answers, how long they are kept (ms)
-- → 'new', 'kept' (owned already) or 'again' (the same key) and the grant; or what is wrong
local prefix, item, user, giver = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key, asked, now = ARGV[8], ARGV[9], clock()

local function answered(grant)
  if key == '' then return end
  redis.call('HSET', KEYS[3], key, asked .. grant)
  redis.call('ZADD', KEYS[4], now, key)
  for _, oldest in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1 - ARGV[10])) do
    redis.call('HDEL', KEYS[3], oldest)
    redis.call('ZREM', KEYS[4], oldest)
  end
  redis.call('PEXPIRE', KEYS[3], ARGV[11])
  redis.call('PEXPIRE', KEYS[4], ARGV[11])
end

if key ~= '' then
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now - ARGV[11])) do
    redis.call('HDEL', KEYS[3], old)
    redis.call('ZREM', KEYS[4], old)
  end
  local known = redis.call('HGET', KEYS[3], key)
  if known then
    if known:sub(1, 64) ~= asked then return {'mismatch', ''} end
    return {'again', known:sub(65)}
  end
end

if redis.call('HEXISTS', KEYS[1], item) == 0 then return {'no_item', ''} end
local held = redis.call('HGET', KEYS[2], item)
if giver ~= '' then
  if redis.call('HEXISTS', prefix .. 'inventory:' .. giver, item) == 0 then return {'not_owned', ''} end
  if held then return {'has_it', ''} end
elseif held then
  answered(held)
  return {'kept', held}
end
if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[7]) then return {'full', ''} end

if giver ~= '' then
  let_go(prefix, giver, item)
  redis.call('SADD', prefix .. 'given:' .. giver, user .. ' ' .. item)
end
redis.call('HSET', KEYS[2], item, ARGV[6])
redis.call('HSET', KEYS[5], ARGV[5], ARGV[6])
redis.call('ZADD', KEYS[6], now, ARGV[5])
answered(ARGV[6])
return {'new', ARGV[6]}
