-- Says that a server lives, and takes over the holds of those that do not, and holds older than any attempt can be.
-- ARGV server, milliseconds it is good for, the oldest an attempt can be (milliseconds), how many holds at once,
--      1 if a webhook is to be told, 1 if no other server can be alive
-- → {holds whose provider will be asked, holds ended at the full reserve, event …}
local server, most, queue = ARGV[1], tonumber(ARGV[4]), ARGV[5]
redis.call('ZADD', key('servers'), whole(now + tonumber(ARGV[2])), server)

local lost = redis.call('ZRANGEBYSCORE', key('open', server), '-inf', whole(now - tonumber(ARGV[3])), 'LIMIT', 0, most)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', key('servers'), '-inf', ARGV[6] == '1' and '+inf' or whole(now))) do
  if gone ~= server then
    local left = redis.call('ZRANGE', key('open', gone), 0, most - 1)
    for _, hold in ipairs(left) do
      lost[#lost + 1] = hold
      if redis.call('EXISTS', key('hold', hold)) == 0 then redis.call('ZREM', key('open', gone), hold) end
    end
    if #left == 0 then redis.call('ZREM', key('servers'), gone) end
  end
end

local asked, ended, all = 0, 0, {}
for _, hold in ipairs(lost) do
  local h = read(hold)
  if h and not h.closed then
    h.status, h.ended = h.status or 'lost', h.ended or whole(now)
    if h.generation then
      ask(hold, h, 0)
      asked = asked + 1
    else
      for _, event in ipairs(finish(hold, h, nil, 'reserve', queue)) do all[#all + 1] = event end
      ended = ended + 1
    end
  end
end
return {asked, ended, unpack(all)}
