-- Milliseconds of Redis' own clock, so that servers need not agree on theirs.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function number(value)
  return tonumber(value or '0')
end

local function text(value)
  return string.format('%.0f', value)
end

local now = clock()
