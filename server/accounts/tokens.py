"""Secrets that are handed out once and kept only as a hash.

They are 256 random bits, so one round of sha256 is the right hash: there is no dictionary to slow down, as there would
be for a password, and a slow hash would only make wrong credentials expensive for us.
"""

import hashlib
import hmac
import secrets

_IDS = "abcdefghijkmnpqrstuvwxyz23456789"  # without l, o, 0 and 1, which people mix up


def new_secret() -> str:
    """43 characters of A-Z, a-z, 0-9, `-` and `_`: 256 random bits."""
    return secrets.token_urlsafe(32)


def short_id(length: int) -> str:
    """A random id of `length` letters and digits (5 bits each); no secret."""
    return "".join(secrets.choice(_IDS) for _ in range(length))


def digest(secret: str) -> str:
    """What is stored of a secret: sha256 in hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def matches(secret: str, stored: str | None) -> bool:
    """Whether `stored` is the digest of `secret`. Takes as long for None, a record that is not there."""
    return hmac.compare_digest(digest(secret), stored or digest("")) and stored is not None


def sign_in_token(owner_token: str) -> str:
    """The token of the one address that `vestige serve` prints, made from the owner's token but not leading back to it.

    Addresses end up in histories and scrollback; there this one is worth nothing after its first use, while the
    owner's token stays good for as long as the server runs.
    """
    return "vso_" + digest(f"vestige sign-in:{owner_token}")[:43]
