"""How large a character may be. Characters of text unless a name says otherwise."""

FILE_BYTES = 10 * 1024 * 1024  # an uploaded card or picture
CARD_BYTES = 1024 * 1024  # the card's JSON, as compact UTF-8
STORED_BYTES = 4 * CARD_BYTES  # the same on disk, where it is indented for people
JSON_DEPTH = 40

NAME = 200
FIELD = 100_000  # description, a greeting, an example …
LINE = 1_000  # creator, version, nickname
GREETINGS = 100
TAGS = 100
TAG = 100
LORE_ENTRIES = 2_000
LORE_KEYS = 5_000  # over all entries of a book

PNG_CHUNKS = 20_000
ZIP_DIRECTORY_BYTES = 512 * 1024  # a few thousand file names
PIXELS = 24_000_000
SIDE = 16_000  # pixels
PORTRAIT = (512, 768)  # pixels: the usual size of a card's picture
