-- An item goes out of an inventory.
-- ARGV prefix, user, item    → the grant it came by, or nothing
return let_go(ARGV[1], ARGV[2], ARGV[3])
