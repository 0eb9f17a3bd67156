"""How much of what an item may hold, and how many there may be. Characters of text unless a name says otherwise."""

TITLE = 200
HINT = 500
PRICE_BYTES = 4_096  # the price tag, as compact UTF-8 JSON
PRICE_DEPTH = 8

SHOP_ITEMS = 10_000  # of a tenant, hidden ones too
OWN_ITEMS = 200  # a person's uploads
OWNED = 2_000  # a person's inventory, uploads too

ANSWERS = 1_000  # idempotency keys that are remembered for one person
ANSWER_SECONDS = 7 * 86_400

PAGE = 50
LONGEST_PAGE = 200
