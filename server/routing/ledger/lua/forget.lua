-- Cuts a person's name off the rows: nothing leads from one to the other any more.
-- ARGV tenant/user
local person = redis.call('HGET', key('people'), ARGV[1])
if person then
  redis.call('HDEL', key('people'), ARGV[1])
  redis.call('HDEL', key('names'), person)
end
