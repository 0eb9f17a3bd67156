-- The windows that may hold messages older than a place.
-- KEYS meta windows    ARGV epoch, seq, how many
-- → {index of the first one returned, window, …}, oldest first
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {0} end
local seq, low, high = tonumber(ARGV[2]), 0, redis.call('LLEN', KEYS[2])
while low < high do -- the first window that begins at or after seq
  local middle = math.floor((low + high) / 2)
  if cjson.decode(redis.call('LINDEX', KEYS[2], middle)).first < seq then
    low = middle + 1
  else
    high = middle
  end
end
local from = math.max(0, low - tonumber(ARGV[3]))
if low == 0 then return {0} end
local result = {from}
for _, raw in ipairs(redis.call('LRANGE', KEYS[2], from, low - 1)) do result[#result + 1] = raw end
return result
