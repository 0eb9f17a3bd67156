"""The page people live in: static ES modules and the routes that serve them."""
