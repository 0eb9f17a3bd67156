"""Tells the operator that 50, 80 or 100 % of a ceiling are spent, as Standard Webhooks (standardwebhooks.com) says.

An event lies in the state Redis until it was taken, so a restart loses none; of several servers one at a time tells it.
A receiver that fails is tried again for a day. No turn waits for any of this.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta

import aiohttp
import structlog

from server.routing.ledger.metrics import LedgerMetrics
from server.routing.ledger.scripts import Scripts

TELL_SECONDS = 10.0
TELL_EVERY_SECONDS = 1.0
AT_ONCE = 8
DELAYS = (5.0, 30.0, 120.0, 600.0, 1_800.0, 3_600.0)
"""Seconds between two tries; the last one from then on."""
GIVE_UP_SECONDS = 86_400.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_log = structlog.get_logger(__name__)


class Webhook:
    """Tells `url` of events, signed with `secret`. It does not own the session."""

    def __init__(
        self, session: aiohttp.ClientSession, scripts: Scripts, metrics: LedgerMetrics, *, url: str, secret: str
    ) -> None:
        self._session = session
        self._scripts = scripts
        self._metrics = metrics
        self._url = url
        self._secret = secret_bytes(secret)

    async def tell(self) -> None:
        """Tells everything that is due.

        Raises:
            StoreUnavailable: the ledger does not answer; what was not told stays due.
        """
        while events := await self._scripts.run("claim", "news", AT_ONCE, round(3 * TELL_SECONDS * 1000)):
            await asyncio.gather(*map(self._tell, events))

    async def _tell(self, event: str) -> None:
        day, scope, who, percent, spent, ceiling, at = event.split("|")
        tenant, _, person = who.partition("/")
        user = await self._scripts.user(person) if person else None
        if person and user is None:
            await self._scripts.drop("news", event)  # deleted meanwhile: there is nobody to speak of
            return
        date = (_EPOCH + timedelta(days=int(day))).date().isoformat()
        id = hashlib.sha256(f"{day}|{scope}|{who}|{percent}".encode()).hexdigest()[:32]
        body = {
            "type": "budget.share_reached",
            "timestamp": (_EPOCH + timedelta(milliseconds=int(at))).isoformat(timespec="seconds"),
            "data": {
                "day": date,
                "scope": scope,
                "tenant": tenant or None,
                "user_id": user,
                "percent": int(percent),
                "spent_microdollars": int(spent),
                "ceiling_microdollars": int(ceiling),
            },
        }
        if await self._post(id, json.dumps(body, separators=(",", ":")).encode()):
            await self._scripts.drop("news", event)
            self._metrics.told.labels("taken").inc()
            return
        self._metrics.told.labels("failed").inc()
        age = time.time() - int(at) / 1000
        if age >= GIVE_UP_SECONDS:
            _log.error("budget_webhook_given_up", scope=scope, percent=int(percent))
            await self._scripts.drop("news", event)
            return
        waits = [delay for delay in DELAYS if delay <= max(age, DELAYS[0])]
        await self._scripts.run("later", "news", event, round(waits[-1] * 1000))

    async def _post(self, id: str, body: bytes) -> bool:
        at = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Vestige",
            "webhook-id": id,
            "webhook-timestamp": at,
            "webhook-signature": signature(self._secret, id, at, body),
        }
        timeout = aiohttp.ClientTimeout(total=TELL_SECONDS)
        try:
            async with self._session.post(
                self._url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                if 200 <= answer.status < 300:
                    return True
                _log.warning("budget_webhook_failed", status=answer.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("budget_webhook_failed", error=type(error).__qualname__)
        return False


def signature(secret: bytes, id: str, at: str, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of `id.timestamp.body`, in base64."""
    digest = hmac.new(secret, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def secret_bytes(secret: str) -> bytes:
    """A secret as it is, or what stands in base64 after `whsec_`."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()
