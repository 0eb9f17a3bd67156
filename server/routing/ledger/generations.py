"""What a generation cost, by the provider's own record: OpenRouter's `GET /generation?id=`."""

import json
import math
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Protocol

import aiohttp
from yarl import URL

from server.routing.ledger.ledger import MAX_AMOUNT
from server.routing.options import Options

ASK_SECONDS = 10.0
MAX_BODY = 256 << 10


class Generations(Protocol):
    """Knows what generations cost."""

    async def cost(self, generation_id: str) -> int | None:
        """Micro-dollars, rounded up; None where nothing can be said now."""
        ...


class OpenRouterGenerations:
    """Asks the server that `options` name, over a session it does not own."""

    def __init__(self, session: aiohttp.ClientSession, options: Options) -> None:
        self._session = session
        self._url = options.base_url / "generation"
        self._headers = options.headers()

    async def cost(self, generation_id: str) -> int | None:
        url: URL = self._url.with_query(id=generation_id)
        timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
        try:
            async with self._session.get(url, headers=self._headers, timeout=timeout, allow_redirects=False) as answer:
                if answer.status != 200:
                    return None
                body = bytearray()
                async for piece in answer.content.iter_chunked(MAX_BODY):
                    body += piece
                    if len(body) > MAX_BODY:
                        return None
            return read_cost(json.loads(body))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError):
            return None


def read_cost(body: object) -> int | None:
    """What the record says was spent, in micro-dollars; None where it is no record, or says what cannot be.

    With a key of the operator's own at the upstream provider (BYOK), `total_cost` is OpenRouter's fee alone.
    """
    data = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(data, Mapping):
        return None
    total = _dollars(data.get("total_cost"))
    if total is None:
        return None
    upstream = _dollars(data.get("upstream_inference_cost")) if data.get("is_byok") is True else None
    micro = int(((total + (upstream or Decimal(0))) * 1_000_000).to_integral_value(rounding=ROUND_CEILING))
    return micro if micro <= MAX_AMOUNT else None


def _dollars(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return Decimal(str(value))
