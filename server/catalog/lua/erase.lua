-- Nothing names this person any more; their own uploads are gone already.
-- KEYS untold untold-due    ARGV prefix, user    → how many items they owned
local prefix, user = ARGV[1], ARGV[2]

local function names(raw) return cjson.decode(raw).giver == user end

for _, place in ipairs(redis.call('SMEMBERS', prefix .. 'given:' .. user)) do
  local other, item = place:match('^(%S+) (%S+)$')
  local inventory, answered = prefix .. 'inventory:' .. other, prefix .. 'answered:' .. other
  local held = redis.call('HGET', inventory, item)
  if held and names(held) then
    local grant = cjson.decode(held)
    grant.giver = nil
    redis.call('HSET', inventory, item, cjson.encode(grant))
  end
  local answers = redis.call('HGETALL', answered)
  for at = 1, #answers, 2 do
    if names(answers[at + 1]:sub(65)) then
      redis.call('HDEL', answered, answers[at])
      redis.call('ZREM', prefix .. 'answered-age:' .. other, answers[at])
    end
  end
end

local owned = redis.call('HKEYS', prefix .. 'inventory:' .. user)
for _, item in ipairs(owned) do let_go(prefix, user, item) end
for _, name in ipairs({'worn', 'answered', 'answered-age', 'given'}) do
  redis.call('DEL', prefix .. name .. ':' .. user)
end
local untold = redis.call('HGETALL', KEYS[1])
for at = 1, #untold, 2 do
  local grant = cjson.decode(untold[at + 1])
  if prefix == 'vestige:catalog:' .. grant.tenant .. ':' and (grant.user == user or grant.giver == user) then
    redis.call('HDEL', KEYS[1], untold[at])
    redis.call('ZREM', KEYS[2], untold[at])
  end
end
return #owned
