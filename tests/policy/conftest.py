"""The shipped policy over the real English embedder, once for all tests here."""

from collections.abc import AsyncIterator

import pytest_asyncio

from server.memory.embedding import MiniLmEmbedder
from server.policy.classifier import ExampleClassifier
from server.policy.model import ContentPolicy
from server.policy.reading import example, examples_of, read_policy


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def english() -> AsyncIterator[MiniLmEmbedder]:
    embedder = MiniLmEmbedder()
    yield embedder
    embedder.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shipped() -> ContentPolicy:
    return read_policy(example(), "the example")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def classifier(shipped: ContentPolicy, english: MiniLmEmbedder) -> ExampleClassifier:
    made = ExampleClassifier(shipped, examples_of(shipped), english)
    await made.prepare()
    return made
