"""Pictures of characters that wear items: found by what they are made of, or made."""
