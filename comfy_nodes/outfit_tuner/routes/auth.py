"""Who may use the pack's routes: whoever sends the token that the operator put into the environment.

ComfyUI itself has no login, and its settings can be read by anyone who reaches it. So the token is in the environment
of ComfyUI's process only, no cookie stands in for it, and without it every route answers 503 instead of being open.
"""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .errors import Forbidden, Unauthenticated, Unavailable

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["MINIMUM_LENGTH", "TOKEN_VARIABLE", "authorise"]

TOKEN_VARIABLE = "VESTIGE_PACK_TOKEN"  # noqa: S105 # the variable's name
MINIMUM_LENGTH = 16  # characters; nothing slows down who guesses, so guessing must be hopeless
_HOW = f"set {TOKEN_VARIABLE} in the environment of ComfyUI (for one, `openssl rand -hex 32`) and start it again"


def authorise(request: web.Request) -> None:
    """Lets a request pass that carries the token.

    Raises:
        Forbidden: a web page of another origin sent it, whatever it carries.
        Unavailable: this ComfyUI was started without a token, or with a short one.
        Unauthenticated: no `Authorization: Bearer …`, or another token.
    """
    _refuse_other_origins(request)
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise Unavailable(f"The pack's routes are switched off: {_HOW}.", code="no_token_set")
    if len(token) < MINIMUM_LENGTH:
        raise Unavailable(
            f"{TOKEN_VARIABLE} is shorter than {MINIMUM_LENGTH} characters: {_HOW}.", code="token_too_short"
        )
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not sent.strip():
        raise Unauthenticated(f"Send the token of this ComfyUI ({TOKEN_VARIABLE}) as `Authorization: Bearer …`.")
    if not hmac.compare_digest(sent.strip().encode(errors="surrogateescape"), token.encode(errors="surrogateescape")):
        raise Unauthenticated(f"The token is not the one of this ComfyUI ({TOKEN_VARIABLE}).", code="wrong_token")


def _refuse_other_origins(request: web.Request) -> None:
    """Programs send neither header. Browsers say where a request is from, old or insecure ones only what posts it."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:  # no page can write this one, and a proxy that changes Host does no harm
        foreign = site not in ("none", "same-origin")
    else:
        origin = request.headers.get("Origin")
        foreign = origin is not None and _place(urlsplit(origin).netloc) != _place(request.host)
    if foreign:
        raise Forbidden("Only pages that ComfyUI itself serves may use the pack's routes.", code="other_origin")


def _place(netloc: str) -> tuple[str, str]:
    """Host and port; the port a scheme implies is left out by some browsers and sent by some proxies."""
    host, colon, port = netloc.lower().rpartition(":")
    if not colon or port.endswith("]"):  # no port; the colon is one of an IPv6 address
        host, port = netloc.lower(), ""
    return host, "" if port in ("80", "443") else port
