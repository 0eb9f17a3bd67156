-- Put before every script. KEYS[1] is the prefix of all the ledger's keys: they share its hash tag, so one node has them.
-- Amounts are whole micro-dollars. The day is that of Redis' own clock: days since 1970, UTC.
local prefix = KEYS[1]
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000) -- milliseconds
local DAY = 86400
local today = math.floor(tonumber(clock[1]) / DAY)
local KEEP_DAYS, COUNTER_DAYS, CORRECTABLE = 35, 3, 2 * DAY

local function whole(number) return string.format('%.0f', number == 0 and 0 or number) end -- never '-0'

local function key(...) return prefix .. table.concat({...}, ':') end

local function keep(name, day, days) redis.call('EXPIREAT', name, whole((day + days + 1) * DAY)) end

local function read(hold) -- the hash as a table; nil where there is none
  local flat = redis.call('HGETALL', key('hold', hold))
  if #flat == 0 then return nil end
  local fields = {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end

-- The counters an attempt counts against, narrowest first, each with its ceiling as text ('' for none).
local function scopes(user, tenant, ceilings)
  local c = {}
  for ceiling in string.gmatch(ceilings .. ',', '([^,]*),') do c[#c + 1] = ceiling end
  return {{'user', user, c[1]}, {'tenant', 't/' .. tenant, c[2]}, {'global', 'all', c[3]}}
end

-- Notes that a share of a ceiling is reached, once a day. `queue`: a webhook is to be told.
local function reached(events, queue, scope, who, percent, spent)
  local told = key('told', today)
  if redis.call('SADD', told, scope[2] .. '|' .. percent) == 0 then return end
  keep(told, today, COUNTER_DAYS)
  local event = table.concat({whole(today), scope[1], who, percent, whole(spent), scope[3], whole(now)}, '|')
  events[#events + 1] = event
  if queue == '1' then redis.call('ZADD', key('news'), whole(now), event) end
end

local function who(scope, tenant, person)
  if scope[1] == 'user' then return tenant .. '/' .. person end
  return scope[1] == 'tenant' and tenant or ''
end

-- Moves what was put aside (`held`) off an attempt's counters and `delta` onto them; says which shares were reached.
local function charge(h, held, delta, queue)
  local counters, events, day = key('day', h.day), {}, tonumber(h.day)
  for _, scope in ipairs(scopes(h.user, h.tenant, h.ceilings)) do
    local total = redis.call('HINCRBY', counters, scope[2], whole(delta))
    local left = redis.call('HINCRBY', counters, scope[2] .. ':held', whole(-held))
    local ceiling = tonumber(scope[3])
    if ceiling and ceiling > 0 and day == today then
      local spent = total - left
      for _, percent in ipairs({50, 80, 100}) do
        if spent * 100 >= ceiling * percent then
          reached(events, queue, scope, who(scope, h.tenant, h.person), percent, spent)
        end
      end
    end
  end
  keep(counters, day, COUNTER_DAYS)
  return events
end

-- One row, and the sums that are read instead of rows. `count` 0: a correction of a row that stands.
local function record(hold, h, cost, basis, count)
  local day = tonumber(h.day)
  local rows, tenants = key('rows', h.day, h.tenant), key('tenants', h.day)
  redis.call('XADD', rows, '*', 'attempt', hold, 'person', h.person, 'tier', h.tier, 'model', h.model, 'facts', h.facts,
    'status', h.status, 'count', count, 'cost', whole(cost), 'reserved', h.amount, 'basis', basis, 'prompt', h.prompt or '0',
    'completion', h.completion or '0', 'cached', h.cached or '0', 'reasoning', h.reasoning or '0', 'started', h.started,
    'ended', h.ended, 'generation', h.generation or '')
  redis.call('SADD', tenants, h.tenant)
  keep(rows, day, KEEP_DAYS)
  keep(tenants, day, KEEP_DAYS)
  local group = h.tier .. '|' .. h.model .. '|'
  for _, sums in ipairs({key('sums', h.day, h.tenant), key('person', h.day, h.person)}) do
    redis.call('HINCRBY', sums, group .. 'attempts', count)
    redis.call('HINCRBY', sums, group .. 'cost', whole(cost))
    if count == 1 then
      redis.call('HINCRBY', sums, group .. 'prompt', h.prompt or '0')
      redis.call('HINCRBY', sums, group .. 'completion', h.completion or '0')
    end
    keep(sums, day, KEEP_DAYS)
  end
  local spenders = key('spenders', h.day, h.tenant)
  redis.call('ZINCRBY', spenders, whole(cost), h.person)
  keep(spenders, day, KEEP_DAYS)
end

-- Ends a hold. `cost` nil: all that was reserved is taken for spent, and who comes to know better may still correct it.
local function finish(hold, h, cost, basis, queue)
  local amount = tonumber(h.amount)
  local events = charge(h, amount, (cost or amount) - amount, queue)
  record(hold, h, cost or amount, cost and basis or 'reserve', 1)
  redis.call('ZREM', key('open', h.server), hold)
  redis.call('ZREM', key('due'), hold)
  if cost then
    redis.call('DEL', key('hold', hold))
  else
    redis.call('HSET', key('hold', hold), 'closed', whole(amount), 'status', h.status, 'ended', h.ended)
    redis.call('EXPIRE', key('hold', hold), whole(CORRECTABLE))
  end
  return events
end

-- Leaves a hold to whoever asks the provider next, `wait` milliseconds from now.
local function ask(hold, h, wait)
  redis.call('ZREM', key('open', h.server), hold)
  redis.call('ZADD', key('due'), whole(now + wait), hold)
end
