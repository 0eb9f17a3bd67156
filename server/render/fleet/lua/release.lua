-- Gives a place back. ARGV: slot, host, then fields of the host and their values; an empty value deletes the field.
redis.call('HDEL', prefix .. 'claims', ARGV[1])
local host = prefix .. 'host:' .. ARGV[2]
for at = 3, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    redis.call('HDEL', host, ARGV[at])
  else
    redis.call('HSET', host, ARGV[at], ARGV[at + 1])
  end
end
changed()
return 1
