-- Ends an attempt: by its cost; or, where that is not known, by asking the provider later, or by all that was reserved.
-- ARGV hold, cost ("" where not known), basis, status ("" as noted before), generation id ("" as noted before),
--      prompt, completion, cached and reasoning tokens ("" where not known), 1 if a webhook is to be told,
--      milliseconds until the provider is asked ("" never: it was asked in vain)
-- → {'settled' | 'corrected' | 'asking' | 'reserve' | 'gone', event …}
local hold, cost, queue = ARGV[1], tonumber(ARGV[2]), ARGV[10]
local h = read(hold)
if not h then return {'gone'} end

if h.closed then -- it was taken for lost, and whoever lost it knows better
  if not cost then return {'gone'} end
  local delta = cost - tonumber(h.closed)
  local events = {}
  if delta ~= 0 then
    events = charge(h, 0, delta, queue)
    record(hold, h, delta, ARGV[3], 0)
  end
  redis.call('DEL', key('hold', hold))
  return {'corrected', unpack(events)}
end

local noted = {status = ARGV[4], generation = ARGV[5], prompt = ARGV[6], completion = ARGV[7], cached = ARGV[8],
  reasoning = ARGV[9]}
for field, value in pairs(noted) do
  if value ~= '' then h[field] = value end
end
h.status, h.ended = h.status or 'lost', h.ended or whole(now)
if not cost and h.generation and ARGV[11] ~= '' then
  for field in pairs(noted) do
    if h[field] then redis.call('HSET', key('hold', hold), field, h[field]) end
  end
  redis.call('HSET', key('hold', hold), 'ended', h.ended)
  ask(hold, h, tonumber(ARGV[11]))
  return {'asking'}
end
local events = finish(hold, h, cost, ARGV[3], queue)
return {cost and 'settled' or 'reserve', unpack(events)}
