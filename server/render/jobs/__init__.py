"""Renders as jobs: who asked for which, which is next, who works on it, and how it ended. All of it is in Redis."""
