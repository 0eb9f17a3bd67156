"""Which models answer whom: the routing policy, as a file says it and as a chain asks for it."""
