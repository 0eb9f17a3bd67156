-- What to ask the provider about a hold, counting that it is asked.
-- ARGV hold
-- → false where nothing is left to ask, or {generation id, facts (json), times asked before, its age (milliseconds)}
local h = read(ARGV[1])
if not h or h.closed or not h.generation then
  redis.call('ZREM', key('due'), ARGV[1])
  return false
end
local asked = redis.call('HINCRBY', key('hold', ARGV[1]), 'asked', 1)
return {h.generation, h.facts, asked - 1, now - tonumber(h.started)}
