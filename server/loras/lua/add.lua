-- Writes a version under the next number of its character. The first one goes live: a character that has versions always
-- has a live one.
-- KEYS live versions records files last moves
-- ARGV name, sha256, summary (json), record (json), at, by
-- → {number, new (1 or 0)}
local name, sha256 = ARGV[1], ARGV[2]
local known = redis.call('HGET', KEYS[4], name .. ' ' .. sha256)
if known then return { tonumber(known), 0 } end
local number = redis.call('HINCRBY', KEYS[5], name, 1)
local field = name .. '@' .. number
redis.call('HSET', KEYS[2], field, ARGV[3])
redis.call('HSET', KEYS[3], field, ARGV[4])
redis.call('HSET', KEYS[4], name .. ' ' .. sha256, number)
if redis.call('HSETNX', KEYS[1], name, number) == 1 then
  redis.call('RPUSH', KEYS[6], cjson.encode({ at = ARGV[5], by = ARGV[6], to = number }))
end
return { number, 1 }
