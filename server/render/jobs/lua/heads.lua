-- Who is next: some of both lines, in order.
-- ARGV how many of each, how many are passed over before them
-- → id, line, needs (json), since (milliseconds), host that has it already ('' none, or it need not stay there),
--   1 if nobody wants it any more, …
local heads, most, skip = {}, tonumber(ARGV[1]), tonumber(ARGV[2])
for _, line in ipairs({'user', 'prerender'}) do
  for _, id in ipairs(redis.call('ZRANGE', key('line', line), skip, skip + most - 1)) do
    local h = redis.call('HMGET', key('job', id), 'needs', 'created', 'host', 'prompt_id', 'loose', 'cancelling')
    if h[1] then
      local host = h[4] and not h[5] and h[3] or ''
      for _, value in ipairs({id, line, h[1], h[2], host, h[6] or ''}) do heads[#heads + 1] = value end
    else
      redis.call('ZREM', key('line', line), id) -- its hash was thrown away
    end
  end
end
return heads
