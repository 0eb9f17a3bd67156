-- Which version is live, and its summary.
-- KEYS live versions    ARGV name    → {number, summary (json)}, or nothing
local number = redis.call('HGET', KEYS[1], ARGV[1])
if not number then return false end
return { tonumber(number), redis.call('HGET', KEYS[2], ARGV[1] .. '@' .. number) }
