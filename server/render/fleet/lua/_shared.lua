-- What all workers know of the hosts together. KEYS[1] is the prefix. Times are milliseconds of Redis' own clock.
--
--   claims        hash    slot → JSON of a place that was given out
--   version       number  goes up with every change that a choice depends on
--   passed        number  urgent renders given out since the last that was not, while such a one waited
--   host:<name>   hash    what was seen there, whether it is benched or drained, what it loads last, learned times
local prefix = KEYS[1]

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function text(value)
  return string.format('%.0f', value)
end

local function changed()
  redis.call('INCR', prefix .. 'version')
end

local now = clock()
