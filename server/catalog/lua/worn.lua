-- What a character has on. An item that was deleted, or is not visual any more, comes off here.
-- KEYS items inventory worn    ARGV character    → item id and item, or nothing
local item = redis.call('HGET', KEYS[3], ARGV[1])
if not item then return nil end
local raw = redis.call('HGET', KEYS[1], item)
if raw and redis.call('HEXISTS', KEYS[2], item) == 1 and cjson.decode(raw).visual then return {item, raw} end
redis.call('HDEL', KEYS[3], ARGV[1])
return nil
