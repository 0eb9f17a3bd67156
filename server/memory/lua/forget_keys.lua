-- Takes what was derived from forgotten text out of the idempotency records; the keys stay, so a late repeat adds nothing.
-- KEYS idem    ARGV epoch, seq …  (no seq: all)
local wanted = {}
for i = 2, #ARGV do wanted[ARGV[i]] = true end
local claims = redis.call('HGETALL', KEYS[1])
for i = 1, #claims, 2 do
  local epoch, seq = string.match(claims[i + 1], '^(%d+):(%d+):')
  if #ARGV == 1 or (epoch == ARGV[1] and wanted[seq]) then
    redis.call('HSET', KEYS[1], claims[i], epoch .. ':' .. seq .. ':')
  end
end
return 1
