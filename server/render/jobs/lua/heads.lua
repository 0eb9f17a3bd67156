-- Who is next: the first of both lines, in order.
-- ARGV how many
-- → id, line, needs (json), host it was submitted to ('' none), …
local heads, most = {}, tonumber(ARGV[1])
for _, line in ipairs({'user', 'prerender'}) do
  for _, id in ipairs(redis.call('ZRANGE', key('line', line), 0, most - 1)) do
    if #heads >= most * 4 then return heads end
    local h = redis.call('HMGET', key('job', id), 'needs', 'host', 'prompt_id')
    if h[1] then
      for _, value in ipairs({id, line, h[1], h[3] and h[2] or ''}) do heads[#heads + 1] = value end
    else
      redis.call('ZREM', key('line', line), id) -- its hash was thrown away
    end
  end
end
return heads
