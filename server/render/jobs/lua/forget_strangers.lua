-- Drops the lists of hosts that are in nobody's settings any more. Servers with other settings may be starting or ending:
-- one that knows the host takes back what another one noted.
-- ARGV milliseconds that a host has to be unknown, name of a known host, …
-- → {host, how many things, …} that were dropped
local known, dropped = {}, {}
for i = 2, #ARGV do known[ARGV[i]] = true end
for _, host in ipairs(redis.call('SMEMBERS', key('forget-hosts'))) do
  if known[host] then
    redis.call('HDEL', key('forget-gone'), host)
  else
    redis.call('HSETNX', key('forget-gone'), host, whole(now))
    if now - tonumber(redis.call('HGET', key('forget-gone'), host)) >= tonumber(ARGV[1]) then
      dropped[#dropped + 1] = host
      dropped[#dropped + 1] = whole(redis.call('ZCARD', key('forget', host)))
      redis.call('DEL', key('forget', host))
      redis.call('SREM', key('forget-hosts'), host)
      redis.call('HDEL', key('forget-gone'), host)
      redis.call('HDEL', key('forget-why'), host)
    end
  end
end
return dropped
