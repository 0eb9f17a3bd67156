"""The names of what travels along the memory nodes' links."""

MEMORY = "VESTIGE_MEMORY"  # carries a `views.Memory`
WORN = "VESTIGE_WORN"  # carries a `views.Worn`, or None where nothing is worn
