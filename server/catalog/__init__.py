"""Characters: cards as files, who sees them, and what of them reaches a prompt."""
