-- One consistent look at a conversation.
-- KEYS meta tail windows derived    ARGV newest (how many of the last windows to list), with_tail ("1" or "")
-- → false, or {epoch, rev, next_seq, windows, derived, summary, summary_windows, correction, names, tier, {seq, json, …}, {window, …}}
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'rev', 'next_seq', 'summary', 'summary_windows', 'correction', 'names', 'tier')
if not meta[1] then return false end
local tail, windows = {}, {}
if ARGV[2] == '1' then tail = redis.call('HGETALL', KEYS[2]) end
if tonumber(ARGV[1]) > 0 then windows = redis.call('LRANGE', KEYS[3], -tonumber(ARGV[1]), -1) end
return {
  meta[1], meta[2] or '0', meta[3] or '1', redis.call('LLEN', KEYS[3]), redis.call('LLEN', KEYS[4]),
  meta[4] or '', meta[5] or '0', meta[6] or '', meta[7] or '', meta[8] or '', tail, windows,
}
