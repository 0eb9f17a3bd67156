-- Chroma has confirmed that these records are gone.
-- KEYS garbage    ARGV member …
for _, member in ipairs(ARGV) do redis.call('ZREM', KEYS[1], member) end
return #ARGV
