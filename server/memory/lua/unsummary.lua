-- Takes out the rolling summary, and what a person wrote of it.
-- KEYS meta garbage    ARGV scope
drop_summary(KEYS[1], KEYS[2], ARGV[1], true)
return 1
