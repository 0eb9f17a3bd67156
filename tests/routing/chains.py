"""A chain over a scripted OpenRouter, from a routing file to the ledger."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from server.errors import BudgetExceeded, ModelError
from server.routing.breaker import Breaker
from server.routing.chain import Chain
from server.routing.journal import Entry, Journal
from server.routing.open import Providers, open_providers
from server.routing.spending import Attempt, Hold, Outcome
from server.routing.types import Finished, LanguageModel, ModelRequest, Payer, PromptMessage
from server.settings import Settings
from server.stores.redis import RedisPair
from tests.fakes.openrouter import FakeOpenRouter

PAYER = Payer("home", "ada", "free")
PRIMARY, BACKUP, LAST = "alpha/one", "beta/two", "gamma/three"
ONE_CHAIN = """
default_mode = "everyday"
[providers.openrouter]
base_url = "{base}"
speaks = "openrouter"
[models.one]
id = "alpha/one"
[models.two]
id = "beta/two"
[models.three]
id = "gamma/three"
[modes.everyday]
first_token_seconds = 5
total_seconds = 20
[modes.late]
level = "mature"
[tiers.free]
everyday = ["one", "two"]
late = ["three", "two", "one"]
"""


@dataclass
class Book:
    """A ledger that only writes down. `room`: micro-dollars that may be reserved in all."""

    room: int | None = None
    reserved: list[tuple[Payer, Attempt, int]] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    settled: list[Outcome] = field(default_factory=list)

    async def reserve(self, payer: Payer, attempt: Attempt, amount: int) -> Hold:
        if self.room is not None and amount > self.room:
            raise BudgetExceeded("The budget for today is used up.")
        self.reserved.append((payer, attempt, amount))
        return Page(self)


@dataclass
class Page:
    book: Book

    async def identified(self, generation_id: str) -> None:
        self.book.named.append(generation_id)

    async def settle(self, outcome: Outcome) -> None:
        self.book.settled.append(outcome)


@dataclass
class Noted:
    """Keeps what a chain's journal is told."""

    entries: list[Entry]
    turns: list[str] = field(default_factory=list)

    def attempt(self, entry: Entry) -> None:
        self.entries.append(entry)

    def turn(self, outcome: str) -> None:
        self.turns.append(outcome)


@dataclass
class House:
    """Everything a test of a chain looks at."""

    fake: FakeOpenRouter
    providers: Providers
    chain: Chain
    book: Book
    entries: list[Entry]
    breaker: Breaker

    async def ask(self, text: str = "Hello", *, whole: bool = False, **fields: object) -> "Said":
        """One request, streamed or whole, and its settlement."""
        request = make_request(text, **fields)
        try:
            if not whole:
                return await streamed(self.chain, request)
            said, finished = await self.chain.complete(request)
            return Said([said], finished)
        except ModelError as error:
            return Said([], error)
        finally:
            await self.chain.drain()


@dataclass
class Said:
    shown: list[str]
    end: Finished | ModelError

    @property
    def text(self) -> str:
        return "".join(self.shown)

    @property
    def error(self) -> ModelError:
        assert isinstance(self.end, ModelError), self.end
        return self.end

    @property
    def finished(self) -> Finished:
        assert isinstance(self.end, Finished), self.end
        return self.end


def make_request(text: str = "Hello", **fields: object) -> ModelRequest:
    messages = [PromptMessage("system", "You are Ada."), PromptMessage("user", text)]
    return ModelRequest(messages, **{"payer": PAYER, **fields})


async def streamed(model: LanguageModel, request: ModelRequest) -> Said:
    shown: list[str] = []
    try:
        async for event in model.stream(request):
            if isinstance(event, Finished):
                return Said(shown, event)
            shown.append(event.text)
    except ModelError as error:
        return Said(shown, error)
    raise AssertionError("the stream ended in neither")


@asynccontextmanager
async def chain_house(
    settings: Settings, redis: RedisPair, file: Path, *, policy: str = ONE_CHAIN, book: Book | None = None
) -> AsyncIterator[House]:
    """A chain by `policy`, in which `{base}` is the fake's address."""
    async with FakeOpenRouter() as fake:
        fake.offer(PRIMARY, BACKUP, LAST)
        await asyncio.to_thread(file.write_text, policy.replace("{base}", fake.base_url))
        entries: list[Entry] = []
        book = book or Book()
        async with open_providers(settings.model_copy(update={"routing": file})) as providers:
            await providers.catalogue.refresh()
            breaker = providers.breaker(redis.cache)
            chain = providers.chain(breaker, Journal(Noted(entries)), book)
            yield House(fake, providers, chain, book, entries, breaker)
