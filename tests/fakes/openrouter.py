"""A scripted OpenRouter: many models, each with scripts of its own, prices, generations, and a bill.

    async with FakeOpenRouter() as fake:
        fake.offer("vendor/cheap", prompt=0.1, completion=0.4)      # dollars for a million tokens
        fake.script("vendor/m", fails(503), says("Hello"))           # its first attempt, its second
        fake.always("vendor/sick", silent())                          # every attempt of this one
        ... LLM_BASE_URL = fake.base_url, speaks = "openrouter" ...
        fake.asked                                                    # ["vendor/m", "vendor/sick", …]
        fake.bill                                                     # micro-dollars, cut-off generations included

What is offered nowhere is 400 "not a valid model ID", as there. `/generation?id=` knows every generation once it has
ended; `/key` and `/models` answer as documented (August 2026).
"""

import asyncio
import math
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.fakes.openai_server import FakeOpenAI, Received, Say, Script, Stream, fails, says

MICRO = 1_000_000
PRICE = (1.0, 2.0)  # dollars for a million tokens, where a model is offered without one


class FakeOpenRouter(FakeOpenAI):
    """The server. `key`: the only one it takes."""

    def __init__(self, *, key: str | None = None) -> None:
        super().__init__(key=key, models=(), openrouter=True)
        self.offers: dict[str, dict[str, Any]] = {}
        self.generations: dict[str, int] = {}  # id → micro-dollars, once it has ended
        self.forgetful = False  # /generation does not know yet
        self.unlisted = False  # /models is out of order
        self._scripts: dict[str, deque[Script]] = defaultdict(deque)
        self._always: dict[str, Script] = {}

    def offer(self, *ids: str, prompt: float = PRICE[0], completion: float = PRICE[1], **more: Any) -> None:
        """Lists models. `more` is merged into their entries: `pricing`, `expiration_date`, `context_length`."""
        for id in ids:
            pricing = {"prompt": f"{prompt / MICRO:.12f}", "completion": f"{completion / MICRO:.12f}", "request": "0"}
            self.offers[id] = {
                "id": id,
                "canonical_slug": id,
                "name": id,
                "created": 1_700_000_000,
                "context_length": 32_000,
                "pricing": pricing,
                "top_provider": {"context_length": 32_000, "max_completion_tokens": 4_000, "is_moderated": False},
                "supported_parameters": ["max_tokens", "temperature"],
                "expiration_date": None,
                **more,
            }

    def script(self, model: str, *scripts: str | Script) -> None:
        """What the next attempts of a model get, in this order; afterwards what `respond` says."""
        self._offered(model)
        self._scripts[model].extend(says(script) if isinstance(script, str) else script for script in scripts)

    def always(self, model: str, script: str | Script) -> None:
        """What every attempt of a model gets that has no script of its own."""
        self._offered(model)
        self._always[model] = says(script) if isinstance(script, str) else script

    @property
    def asked(self) -> list[str]:
        """The models of all attempts, in the order they came."""
        return [received.body["model"] for received in self.requests]

    @property
    def bill(self) -> int:
        """What all generations that have ended cost, in micro-dollars."""
        return sum(self.generations.values())

    def _offered(self, model: str) -> None:
        if model not in self.offers:
            self.offer(model)

    def _script(self, received: Received) -> str | Script:
        model = received.body.get("model", "")
        if self._next:
            return self._next.popleft()
        if self._scripts[model]:
            return self._scripts[model].popleft()
        if model in self._always:
            return self._always[model]
        if model not in self.offers and model.partition(":")[0] not in self.offers:
            return fails(400, f"{model} is not a valid model ID")
        return self.respond(received)

    async def _stream(self, request: web.Request, received: Received, script: Stream) -> web.StreamResponse:
        try:
            return await super()._stream(request, received, script)
        finally:  # also where the client hung up: what was generated is billed
            said = script.usage if script.usage is not None else {}
            cost = said.get("cost")
            self.generations[self._id(received)] = self._price(received) if cost is None else math.ceil(cost * MICRO)

    def _whole(self, received: Received, script: Stream) -> dict[str, Any]:
        received.said = sum(isinstance(step, Say) for step in script.steps)
        self.generations[self._id(received)] = self._price(received)
        return super()._whole(received, script)

    def _price(self, received: Received) -> int:
        pricing = self.offers.get(received.body["model"], {}).get("pricing", {})
        try:
            prompt, completion = float(pricing.get("prompt", 0)), float(pricing.get("completion", 0))
        except ValueError:
            return 0
        tokens = len(received.text.split())
        return math.ceil(max(0.0, round((tokens * prompt + received.said * completion) * MICRO, 6)))

    def _usage(self, received: Received, script: Stream) -> dict[str, Any]:
        usage = super()._usage(received, script) | {"cost": self._price(received) / MICRO}
        return usage | dict(script.usage or {})

    def _headers(self, received: Received) -> Mapping[str, str]:
        return {"X-Generation-Id": self._id(received)}

    def _id(self, received: Received) -> str:
        return f"gen-{self.requests.index(received) + 1}"

    async def _other(self, request: web.Request) -> web.Response:
        what = request.match_info["what"]
        if what == "models" and not self.unlisted:
            self._note(request, {}, self.others)
            return web.json_response({"data": list(self.offers.values())})
        if what == "models":
            return web.json_response({"error": {"code": 503, "message": "Out of order"}}, status=503)
        if what == "generation":
            self._note(request, {}, self.others)
            await asyncio.sleep(0)
            cost = self.generations.get(request.query.get("id", ""))
            if cost is None or self.forgetful:
                return web.json_response({"error": {"code": 404, "message": "Generation not found"}}, status=404)
            data = {"id": request.query["id"], "total_cost": cost / MICRO, "usage": cost / MICRO, "is_byok": False}
            return web.json_response({"data": data})
        return await super()._other(request)
