-- Puts money aside for one attempt if every ceiling leaves room for it.
-- ARGV hold, tenant, user, tier, model, facts (json), amount, ceilings ("user,tenant,global", each may be empty), server,
--      a new pseudonym, a new salt, 1 if a webhook is to be told
-- → {1, event …} | {0, scope, charged, ceiling, seconds left of the day, event …}
local hold, tenant, user, tier, model, facts = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local amount, ceilings, server, queue = tonumber(ARGV[7]), ARGV[8], ARGV[9], ARGV[12]
local counters = key('day', today)
local there = read(hold)
if there then -- the same name twice is once
  return not there.closed and there.server == server and {1} or redis.error_reply('taken back already')
end
local name = tenant .. '/' .. user

-- rows and sums know a person by a pseudonym, which is cut off from the name when the person is deleted
local person = redis.call('HGET', key('people'), name)
if not person then
  person = ARGV[10]
  redis.call('HSET', key('people'), name, person)
  redis.call('HSET', key('names'), person, name)
end
-- the day's own counter outlives that (nobody gets a second allowance by being deleted), and names nobody either
local salt = redis.call('HGET', counters, 'salt')
if not salt then
  salt = ARGV[11]
  redis.call('HSET', counters, 'salt', salt)
  keep(counters, today, COUNTER_DAYS)
end
local list = scopes('u/' .. redis.sha1hex(salt .. name), tenant, ceilings)

if amount > 0 then
  for _, scope in ipairs(list) do
    local ceiling, charged = tonumber(scope[3]), tonumber(redis.call('HGET', counters, scope[2]) or '0')
    if ceiling and charged + amount > ceiling then
      local events = {}
      if ceiling > 0 then
        local held = tonumber(redis.call('HGET', counters, scope[2] .. ':held') or '0')
        reached(events, queue, scope, who(scope, tenant, person), 100, charged - held)
      end
      return {0, scope[1], charged, ceiling, (today + 1) * DAY - tonumber(clock[1]), unpack(events)}
    end
  end
end
for _, scope in ipairs(list) do
  redis.call('HINCRBY', counters, scope[2], whole(amount))
  redis.call('HINCRBY', counters, scope[2] .. ':held', whole(amount))
end
redis.call('HSET', key('hold', hold), 'day', whole(today), 'amount', whole(amount), 'ceilings', ceilings, 'tenant', tenant,
  'user', list[1][2], 'person', person, 'tier', tier, 'model', model, 'facts', facts, 'server', server,
  'started', whole(now))
redis.call('ZADD', key('open', server), whole(now), hold)
return {1}
