"""What can go wrong between the pack and the Vestige server. Messages never hold the address or the key."""

from __future__ import annotations

__all__ = ["CompanionError", "NotSetUp", "Refused", "ServerAway"]


class CompanionError(Exception):
    """One sentence that says what is wrong and what to do."""


class NotSetUp(CompanionError):
    """The environment does not say where the server is, or with which key."""


class ServerAway(CompanionError):
    """No answer, or none that a Vestige server gives. It may be there again in a moment."""


class Refused(CompanionError):
    """The server answered, and does not do this: a key without the right, no such character, a server too old."""
