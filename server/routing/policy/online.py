"""A policy held against what its providers list: ids unknown or ending, prices above a cap, contexts too small."""

from collections.abc import Mapping
from datetime import date, timedelta

from server.routing.catalogue import Listed, Listing, find
from server.routing.policy.model import BUNDLED, Model, PolicyFile
from server.routing.policy.problems import Noted, meant

SOON = timedelta(days=30)


def check_listed(
    policy: PolicyFile, listings: Mapping[str, Listing], noted: Noted, *, today: date, context_tokens: int = 0
) -> None:
    """Adds what is wrong with each model whose provider has a list.

    Args:
        listings: provider → what it lists; providers that could not be asked are left out.
        context_tokens: what the largest plan fills.
    """
    for name, model in policy.models.items():
        listing = listings.get(model.provider)
        if model.provider == BUNDLED or not listing:
            continue
        listed = find(listing, model.id)
        if listed is None:
            noted.error(("models", name, "id"), f"{model.provider} has no {model.id!r}{_close(model.id, listing)}")
            continue
        _ends(name, listed, noted, today)
        _price(name, model, listed, noted)
        takes = min(model.context_tokens or 10**9, listed.context_tokens or 10**9)
        if takes < context_tokens:
            noted.warn(
                ("models", name), f"takes {takes:,} tokens, and a plan fills {context_tokens:,} (context_tokens)"
            )


def _ends(name: str, listed: Listed, noted: Noted, today: date) -> None:
    if listed.expired(today):
        noted.error(("models", name, "id"), f"{listed.id!r} ended on {listed.expires}")
    elif listed.expired(today + SOON):
        noted.warn(("models", name, "id"), f"{listed.id!r} ends on {listed.expires}")


def _price(name: str, model: Model, listed: Listed, noted: Noted) -> None:
    if listed.bad_price is not None and model.max_price is None:
        noted.warn(
            ("models", name), f"its price cannot be known ({listed.bad_price}): set max_price, or much is put aside"
        )
    if listed.price is not None and model.max_price is not None and not listed.price.within(model.max_price.price):
        shown = f"${listed.price.prompt / 1e6:g} and ${listed.price.completion / 1e6:g} for a million tokens"
        noted.error(("models", name, "max_price"), f"it costs {shown}, more than the cap: it would never be asked")


def _close(id: str, listing: Listing) -> str:
    guess = meant(id, listing)
    return guess if "did you mean" in guess else f" among its {len(listing):,} models"
