"""Pictures in a conversation: asked for in a turn, kept with its message, and what the character has on in them."""
