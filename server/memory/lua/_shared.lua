-- Put before every script. Garbage: score = when a writer registered the record; 0 = dead, to be deleted at once.
local function bury(garbage, scope, id)
  redis.call('ZADD', garbage, 0, scope .. '|' .. id)
end

local function alive(garbage, scope, id) -- registered, and no sweeper has given it up
  local score = redis.call('ZSCORE', garbage, scope .. '|' .. id)
  return score and tonumber(score) > 0
end

-- Takes out the rolling summary. What a person wrote stays unless `corrections` too.
local function drop_summary(meta, garbage, scope, corrections)
  local summary, correction = unpack(redis.call('HMGET', meta, 'summary', 'correction'))
  if corrections and correction then
    bury(garbage, scope, correction)
    redis.call('HDEL', meta, 'correction')
  end
  if summary and (corrections or summary ~= correction) then
    bury(garbage, scope, summary)
    redis.call('HDEL', meta, 'summary', 'summary_windows')
  end
end
