"""What a provider's `/models` says: which ids there are, what they cost, how much they take, and when they end."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime

import structlog

from server.errors import ModelError
from server.routing.prices import BadPrice, Price, read_price

REFRESH_SECONDS = 3_600.0
RETRY_SECONDS = 60.0
MAX_MODELS = 20_000
_VARIANTS = frozenset({"nitro", "floor", "exacto", "online", "extended", "thinking"})
"""Ways to route a model that is listed under its plain id."""

_log = structlog.get_logger("vestige.model")

Fetch = Callable[[], Awaitable[object]]
"""The JSON of a provider's `/models`; raises ModelError where there is none."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A model as its provider lists it. `price` is None where it says none, or one that cannot be believed."""

    id: str
    price: Price | None = None
    bad_price: str | None = None
    context_tokens: int | None = None
    expires: date | None = None

    def expired(self, on: date) -> bool:
        return self.expires is not None and self.expires <= on


Listing = Mapping[str, Listed]


def read_models(body: object) -> Listing:
    """Models by id. Entries that are none are left out; a body that is no list is an empty one."""
    entries = body.get("data") if isinstance(body, Mapping) else None
    found: dict[str, Listed] = {}
    for entry in entries[:MAX_MODELS] if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and isinstance(name := entry.get("id"), str) and name:
            found[name] = _listed(name, entry)
    return found


def find(listing: Listing, id: str) -> Listed | None:
    """A model by id; by its plain id where the id says how to route it (`vendor/model:nitro`)."""
    base, colon, variant = id.rpartition(":")
    return listing.get(id) or (listing.get(base) if colon and variant in _VARIANTS else None)


class Catalogue:
    """The lists of several providers, kept in memory and fetched anew each hour. An old list is better than none."""

    def __init__(self, fetches: Mapping[str, Fetch]) -> None:
        self._fetches = fetches
        self._listings: dict[str, Listing] = {}

    def listing(self, provider: str) -> Listing | None:
        """What a provider lists; None while it has not said."""
        return self._listings.get(provider)

    def find(self, provider: str, id: str) -> Listed | None:
        return find(self._listings.get(provider, {}), id)

    def price(self, provider: str, id: str) -> Price | None:
        """What a model costs, where its provider says something that can be believed."""
        listed = self.find(provider, id)
        return listed.price if listed else None

    async def refresh(self) -> Mapping[str, ModelError]:
        """Fetches every list; those that cannot be had, and why."""
        failed: dict[str, ModelError] = {}
        for provider, fetch in self._fetches.items():
            try:
                body = await fetch()
            except ModelError as error:
                failed[provider] = error
                continue
            listing = await asyncio.to_thread(read_models, body)
            if listing or provider not in self._listings:
                self._listings[provider] = listing
        return failed

    async def keep_fresh(self) -> None:
        """Fetches now and each hour, sooner after a failure, until it is cancelled."""
        while True:
            failed = await self.refresh()
            for provider, error in failed.items():
                _log.warning("no price list", provider=provider, reason=error.message)
            for provider, listing in self._listings.items():
                bad = sum(listed.bad_price is not None for listed in listing.values())
                _log.info("price list", provider=provider, models=len(listing), unusable_prices=bad)
            await asyncio.sleep(RETRY_SECONDS if failed else REFRESH_SECONDS)


def _listed(name: str, entry: Mapping[str, object]) -> Listed:
    price, bad = None, None
    if "pricing" in entry:
        try:
            price = read_price(entry["pricing"])
        except BadPrice as error:
            bad = str(error)
    context = entry.get("context_length")
    if isinstance(context, bool) or not isinstance(context, int) or context <= 0:
        context = None
    return Listed(name, price, bad, context, _date(entry.get("expiration_date")))


def _date(value: object) -> date | None:
    """An ISO date or time, or seconds since 1970."""
    with suppress(ValueError, OverflowError, OSError):
        if isinstance(value, str):
            return datetime.fromisoformat(value).date()
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).date()
    return None
