-- Writes records of items and looks, all of them or none.
-- KEYS gone references    ARGV prefix, most by shelf (JSON), changes (JSON): a list of
--   key, id      which hash, which field of it
--   was, now     what lies there, and what shall; '' is nothing
--   leaves, joins   shelf → the item's place on it
--   unshown, shown  the references that it shows no longer, and from now on
--   owner, grant    of a person's own upload: in whose inventory it is, and how it came there
-- → 'done', or 'changed' / 'gone' / 'full' and the id or shelf it fails at
local prefix, most, changes = ARGV[1], cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
local growth = {}
for _, change in ipairs(changes) do
  if (redis.call('HGET', change.key, change.id) or '') ~= change.was then return {'changed', change.id} end
  if change.was == '' and redis.call('SISMEMBER', KEYS[1], change.id) == 1 then return {'gone', change.id} end
  for shelf in pairs(change.leaves) do growth[shelf] = (growth[shelf] or 0) - 1 end
  for shelf in pairs(change.joins) do growth[shelf] = (growth[shelf] or 0) + 1 end
end
for shelf, limit in pairs(most) do
  local more = growth[shelf] or 0
  if more > 0 and redis.call('ZCARD', shelf) + more > limit then return {'full', shelf} end
end

local function count(reference, by)
  if reference ~= '' and redis.call('HINCRBY', KEYS[2], reference, by) <= 0 then
    redis.call('HDEL', KEYS[2], reference)
  end
end

for _, change in ipairs(changes) do
  if change.now ~= '' then
    redis.call('HSET', change.key, change.id, change.now)
  else
    redis.call('HDEL', change.key, change.id)
    -- nobody chooses the id of an upload, so it cannot come back; were they noted too, one person could fill the store
    if change.owner == '' and next(change.leaves) then redis.call('SADD', KEYS[1], change.id) end
  end
  for shelf, place in pairs(change.leaves) do redis.call('ZREM', shelf, place) end
  for shelf, place in pairs(change.joins) do redis.call('ZADD', shelf, 0, place) end
  count(change.shown, 1)
  count(change.unshown, -1)
  if change.owner ~= '' then
    if change.now == '' then
      let_go(prefix, change.owner, change.id)
    elseif change.was == '' then
      redis.call('HSET', prefix .. 'inventory:' .. change.owner, change.id, change.grant)
    end
  end
end
return {'done', ''}
