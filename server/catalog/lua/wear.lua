-- A character puts an item on.
-- KEYS items inventory worn    ARGV item, character
-- → 'on' and the item, or what is wrong
local raw = redis.call('HGET', KEYS[1], ARGV[1])
if not raw then return {'no_item', ''} end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return {'not_owned', ''} end
if not cjson.decode(raw).visual then return {'not_visual', ''} end
redis.call('HSET', KEYS[3], ARGV[2], ARGV[1])
return {'on', raw}
