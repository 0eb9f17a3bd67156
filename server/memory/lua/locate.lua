-- Where a message is.
-- KEYS meta tail windows    ARGV epoch, seq
-- → false (no such message) | {'tail', json} | {'window', index, window}
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return false end
local json = redis.call('HGET', KEYS[2], ARGV[2])
if json then return {'tail', json} end
local seq, low, high = tonumber(ARGV[2]), 0, redis.call('LLEN', KEYS[3]) - 1
while low <= high do
  local middle = math.floor((low + high) / 2)
  local raw = redis.call('LINDEX', KEYS[3], middle)
  local window = cjson.decode(raw)
  if seq < window.first then
    high = middle - 1
  elseif seq > window.last then
    low = middle + 1
  else
    return {'window', middle, raw}
  end
end
return false
