-- Put before every script. `prefix` is a tenant's, and the names after it are those of keys.py.

-- Milliseconds of Redis' own clock, so that servers need not agree on theirs; with a fraction, so that order is kept.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + time[2] / 1000
end

-- An item is in an inventory no longer: nobody is named as its giver, and no character of that person has it on.
-- → the grant it came by, or nothing
local function let_go(prefix, user, item)
  local inventory, worn = prefix .. 'inventory:' .. user, prefix .. 'worn:' .. user
  local held = redis.call('HGET', inventory, item)
  if not held then return nil end
  redis.call('HDEL', inventory, item)
  local giver = cjson.decode(held).giver
  if type(giver) == 'string' then redis.call('SREM', prefix .. 'given:' .. giver, user .. ' ' .. item) end
  local on = redis.call('HGETALL', worn)
  for at = 1, #on, 2 do
    if on[at + 1] == item then redis.call('HDEL', worn, on[at]) end
  end
  return held
end
