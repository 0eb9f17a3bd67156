"""`vestige telegram`: characters in Telegram, as a client of the server's public HTTP API and of nothing else.

options.py      who may talk with the bot, and where everything is
vestige.py      the server's API as the bot uses it
formatting.py   a message's HTML → text and entities;  splitting.py  into pieces that Telegram takes
sending.py      every call to Telegram: flood limits, blocked chats, lost connections
talking.py      a turn;  dressing.py  pictures and items;  menu.py  commands and buttons
bot.py          puts it together and polls
"""
