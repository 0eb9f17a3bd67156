"""How long a call may wait, and for what."""

import asyncio

import pytest

from server.errors import ModelTimeout
from server.routing.clock import Clock
from server.routing.failures import Target

TARGET = Target("The model server at api.example.org", "m", "LLM_API_KEY", "LLM_MODEL", has_key=True)


class Stepped(Clock):
    """A clock whose time the test sets."""

    at = 1_000.0

    def now(self) -> float:
        return self.at


async def deadline(clock: Clock) -> float:
    when = clock.wait().when()
    assert when is not None
    return when


async def test_silence_ends_at_its_deadline_until_there_is_a_sign_of_work() -> None:
    clock = Stepped(30, 180)
    assert await deadline(clock) == 1_030
    clock.at = 1_010
    assert await deadline(clock) == 1_030
    clock.alive()
    assert await deadline(clock) == 1_040


async def test_the_time_a_slow_reader_takes_is_not_the_models_silence() -> None:
    clock = Stepped(30, 180)
    clock.alive()
    clock.at = 1_100  # the reader was busy; nobody waited for the model
    assert await deadline(clock) == 1_130


async def test_the_whole_ends_at_its_deadline_whatever_comes() -> None:
    clock = Stepped(30, 180)
    clock.at = 1_170
    clock.alive()
    assert await deadline(clock) == 1_180


@pytest.mark.parametrize(
    ("silence", "total", "alive", "words"),
    [
        (30, 180, False, "did not begin to answer within 30 s"),
        (30, 180, True, "fell silent for 30 s"),
        (30, 20, True, "did not finish within 20 s"),
    ],
)
async def test_the_sentence_says_what_took_too_long(silence: float, total: float, alive: bool, words: str) -> None:
    clock = Clock(silence, total)
    if alive:
        clock.alive()
        clock.wait()
    error = clock.late(TARGET)
    assert isinstance(error, ModelTimeout)
    assert words in error.message


async def test_a_deadline_in_the_past_still_gives_what_is_there() -> None:
    clock = Stepped(30, 180)
    clock.at = 5_000
    async with clock.wait():
        pass  # nothing was waited for
    with pytest.raises(TimeoutError):
        async with Clock(0, 0).wait():
            await asyncio.Event().wait()
