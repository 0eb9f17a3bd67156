"""How far a turn may go: content levels, read before any model is asked, and what is said where one goes too far."""
