-- Put before every script. KEYS[1] is the prefix of all keys of jobs and previews: they share its hash tag, so one node
-- has them. The time is that of Redis' own clock, in milliseconds: no worker's clock is asked.
--
--   job:<id>                a job's hash; `order` is what a worker needs, `fence` counts its leases
--   key:<tenant>:<key>      the job that is on its way for a key
--   askers:<id>             who wants it ('' a pre-render); the last one's cancel ends it
--   of:<tenant>/<user>      the jobs a person waits for
--   line:<user|prerender>   waiting, by when they came
--   later                   waiting for another try, by when
--   leases                  running, by when their worker must have been heard of
--   state:<state>           all, by when they came (waiting, running) or ended (the others)
--   events:<id>             a stream, bounded
--   unsettled               ended, and the money put aside for them not yet settled
--   failed:<tenant>:<key>   the job that failed last for a key, for an hour
--   also:<tenant>:<key>     other characters and items that come to the same picture
--   preview:<tenant>:<key>  a picture that is there (JSON)
--   previews:<tenant>       all of them, by when they were made
--   totals                  counters
--   forget:<host>           what a host is to forget, by when it is to be asked (server/render/forgetting)
--   forget-hosts            hosts that have such a list; forget-why: why it could not be done, by host;
--   forget-gone             since when a host is in nobody's settings; forget-freed:<host>: its memory was, lately
local prefix = KEYS[1]
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local EVENTS, EVENT_SECONDS = 256, 86400
local ENDED_SECONDS, DEAD_SECONDS, ENDED_KEPT = 3600, 7 * 86400, 1000
local FORGET_MS = 1000 -- by then the worker has told what it learned of the host, and the host has filed the render
local ENDED = {done = true, failed = true, cancelled = true, dead = true}

local function whole(number) return string.format('%.0f', number) end

local function key(...) return prefix .. table.concat({...}, ':') end

local function read(id) -- the hash as a table; nil where there is none
  local flat = redis.call('HGETALL', key('job', id))
  if #flat == 0 then return nil end
  local h = {}
  for i = 1, #flat, 2 do h[flat[i]] = flat[i + 1] end
  return h
end

-- Tells those who follow a job. Only the last events are kept, for a day.
local function tell(id, h, kind)
  local stream = key('events', id)
  redis.call('XADD', stream, 'MAXLEN', '~', EVENTS, '*', 'kind', kind, 'state', h.state, 'share', h.share or '0')
  redis.call('EXPIRE', stream, ENDED[h.state] and ENDED_SECONDS or EVENT_SECONDS)
  redis.call('PUBLISH', key('told'), id)
end

local function move(id, h, state)
  redis.call('ZREM', key('state', h.state), id)
  h.state = state
  redis.call('HSET', key('job', id), 'state', state)
  redis.call('ZADD', key('state', state), whole(ENDED[state] and now or tonumber(h.created)), id)
end

local function holds(id, fence) -- the job, if this is still its lease
  local h = read(id)
  if h and h.state == 'running' and h.fence == fence then return h end
  return nil
end

-- Back into its line, at its old place.
local function requeue(id, h)
  redis.call('ZREM', key('leases'), id)
  redis.call('ZREM', key('later'), id)
  redis.call('ZADD', key('line', h.line), h.seq, id)
  if h.state ~= 'waiting' then move(id, h, 'waiting') end
end

-- Notes something that a host is to forget, from a time on, also where it is being forgotten this moment.
local function to_forget(host, thing, from)
  redis.call('ZADD', key('forget', host), whole(from), thing)
  redis.call('SADD', key('forget-hosts'), host)
end

-- Notes that hosts are to forget what they were sent of a job, which has ended or begins anew. Of one that was erased
-- they forget everything: the reference may have got there after all others were told to forget it.
local function leave_hosts(h)
  local from = h.erased and now or now + FORGET_MS
  local function leave(host, prompt_id)
    to_forget(host, 'render:' .. prompt_id .. ':' .. h.key, from)
    if h.erased then
      to_forget(host, 'memory', from)
      if (h.reference or '') ~= '' then to_forget(host, 'reference:' .. h.reference, from) end
    end
  end
  if h.prompt_id and h.host then leave(h.host, h.prompt_id) end
  for place in string.gmatch(h.stale or '', '%S+') do
    local host, prompt_id = string.match(place, '^(.*)/(.-)$')
    if host then leave(host, prompt_id) end
  end
end

local function forget(id, h) -- everything of a job
  for _, asker in ipairs(redis.call('SMEMBERS', key('askers', id))) do
    if asker ~= '' then redis.call('SREM', key('of', h.tenant .. '/' .. asker), id) end
  end
  local at = key('key', h.tenant, h.key)
  if redis.call('GET', at) == id then redis.call('DEL', at) end
  redis.call('ZREM', key('line', h.line), id)
  redis.call('ZREM', key('later'), id)
  redis.call('ZREM', key('leases'), id)
  redis.call('ZREM', key('state', h.state), id)
  redis.call('DEL', key('job', id), key('askers', id), key('events', id))
end

-- Ends a job. Whoever waits for it is told, and its money is noted to be settled.
local function finish(id, h, state)
  for _, name in ipairs({key('line', h.line), key('later'), key('leases')}) do redis.call('ZREM', name, id) end
  for _, asker in ipairs(redis.call('SMEMBERS', key('askers', id))) do
    if asker ~= '' then redis.call('SREM', key('of', h.tenant .. '/' .. asker), id) end
  end
  local at = key('key', h.tenant, h.key)
  if redis.call('GET', at) == id then redis.call('DEL', at) end
  move(id, h, state)
  leave_hosts(h)
  redis.call('HSET', key('job', id), 'ended', whole(now))
  redis.call('HDEL', key('job', id), 'claim', 'worker', 'cancelling')
  local seconds = (state == 'failed' or state == 'dead') and DEAD_SECONDS or ENDED_SECONDS
  if seconds == ENDED_SECONDS then redis.call('HDEL', key('job', id), 'order', 'needs') end
  redis.call('EXPIRE', key('job', id), seconds)
  redis.call('EXPIRE', key('askers', id), seconds)
  if state == 'failed' or state == 'dead' then
    redis.call('SET', key('failed', h.tenant, h.key), id, 'EX', ENDED_SECONDS)
  else
    redis.call('DEL', key('failed', h.tenant, h.key))
  end
  if tonumber(h.price or '0') > 0 then
    redis.call('ZADD', key('unsettled'), whole(now), id .. '|' .. state .. '|' .. (h.begun and h.price or '0'))
  end
  redis.call('HINCRBY', key('totals'), h.line .. '|' .. state, 1)
  tell(id, h, (state == 'failed' or state == 'dead') and 'failed' or state)
  if h.erased then return forget(id, h) end
  for _, old in ipairs(redis.call('ZRANGE', key('state', state), 0, -(ENDED_KEPT + 1))) do
    local gone = read(old)
    if gone then forget(old, gone) else redis.call('ZREM', key('state', state), old) end
  end
end
