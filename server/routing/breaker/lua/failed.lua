-- One more failure of a model. KEYS[1] its state.
-- ARGV: failures that open it · first rest · longest rest · rest the provider asked for · when to forget (all ms).
-- → ms it rests now.
local limit, first, longest, asked, forget =
  number(ARGV[1]), number(ARGV[2]), number(ARGV[3]), number(ARGV[4]), number(ARGV[5])
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
local opened = number(redis.call('HGET', KEYS[1], 'opened'))
local ends = number(redis.call('HGET', KEYS[1], 'until'))

-- a failure that was under way when it opened says nothing new
if (failures >= limit or opened > 0) and now >= ends then
  opened = opened + 1
  ends = now + math.min(longest, first * 2 ^ (opened - 1))
  redis.call('HSET', KEYS[1], 'opened', opened)
end
if asked > 0 then
  ends = math.max(ends, now + asked)
end

local rest = math.max(ends - now, 0)
redis.call('HDEL', KEYS[1], 'probe')
redis.call('HSET', KEYS[1], 'until', text(ends))
redis.call('PEXPIRE', KEYS[1], text(rest + forget))
return text(rest)
