-- Notes what the provider calls a generation, unless the hold has ended meanwhile.
-- ARGV hold, generation id
if redis.call('EXISTS', key('hold', ARGV[1])) == 1 then
  redis.call('HSET', key('hold', ARGV[1]), 'generation', ARGV[2])
end
