"""Where handlers find the services the composition root built, and what a request carries along."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from server.accounts.limits import Standing
from server.accounts.principal import Principal
from server.accounts.service import Accounts
from server.errors import VestigeError
from server.metrics import Metrics
from server.render.forgetting.forgetting import Left
from server.routing.types import LanguageModel
from server.settings import Settings

Check = Callable[[], Awaitable[None]]
"""Looks whether one thing the server needs answers; raises where it does not."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """How much of what went with a person, and which ComfyUI hosts have still something to forget."""

    counts: Mapping[str, int]
    hosts: Sequence[Left] = ()


Erase = Callable[[str, str], Awaitable[Erasure]]
"""`(tenant, user)` → removes everything that is theirs but the account."""

ErrorBody = Callable[[VestigeError], Mapping[str, object]]
"""An error → the body it has on the wire."""

SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)
ACCOUNTS: web.AppKey[Accounts] = web.AppKey("accounts", Accounts)
METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)
MODEL: web.AppKey[LanguageModel] = web.AppKey("model", LanguageModel)
CHECKS: web.AppKey[Mapping[str, Check]] = web.AppKey("checks", Mapping)
ERASE: web.AppKey[Erase] = web.AppKey("erase", Callable)  # type: ignore[arg-type]

PRINCIPAL: web.RequestKey[Principal] = web.RequestKey("principal", Principal)
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
ERRORS: web.RequestKey[ErrorBody] = web.RequestKey("errors", Callable)  # type: ignore[arg-type]
STALE_COOKIE: web.RequestKey[bool] = web.RequestKey("stale_cookie", bool)
"""The request's cookie was looked up and is no session (any more)."""
STANDINGS: web.RequestKey[Sequence[Standing]] = web.RequestKey("standings", Sequence)
"""Where the request's rate limits stand."""
STARTED: web.RequestKey[bool] = web.RequestKey("started", bool)
