"""A reply in the making, its followers, and the line before it."""

import asyncio
from datetime import UTC, datetime

import pytest

from server.chat.events import Accepted, Done, Event, Failed, TokenEvent
from server.chat.lines import Lines
from server.chat.live import LEFT, Follower, LiveTurn
from server.errors import Conflict, ShuttingDown
from server.ids import Scope
from server.memory.messages import Alternative, Message, Role

SCOPE = Scope("home", "anna", "mira")
NOW = datetime(2026, 11, 23, tzinfo=UTC)
ACCEPTED = Accepted(None, "7-2")
DONE = Done(Message("7-2", 2, Role.ASSISTANT, NOW, (Alternative("ab", NOW),)), "7-1", 10, 2)


def turn() -> LiveTurn:
    return LiveTurn(SCOPE, 7, 2)


async def all_of(follower: Follower) -> list[Event]:
    return [event async for event in follower]


class TestFollowing:
    async def test_every_follower_gets_the_whole_reply_however_late(self) -> None:
        live = turn()
        early = live.follow(ACCEPTED)
        assert await early.next() == ACCEPTED
        live.push("a")
        assert await early.next() == TokenEvent("a")
        live.push("b")
        late = live.follow(ACCEPTED)
        assert await early.next() == TokenEvent("b")
        live.end(DONE)
        assert await all_of(late) == [ACCEPTED, TokenEvent("ab"), DONE]
        assert await all_of(early) == [DONE]
        assert await all_of(live.follow(ACCEPTED)) == [ACCEPTED, TokenEvent("ab"), DONE]

    async def test_one_that_waits_is_woken_by_each_event(self) -> None:
        live = turn()
        following = asyncio.create_task(all_of(live.follow(ACCEPTED)))
        for text in "ab":
            await asyncio.sleep(0)
            live.push(text)
        await asyncio.sleep(0)
        live.end(DONE)
        events = await following
        assert events[-1] == DONE
        assert "".join(event.text for event in events if isinstance(event, TokenEvent)) == "ab"

    async def test_waiting_has_a_limit(self) -> None:
        follower = turn().follow(ACCEPTED)
        await follower.next()
        assert await follower.next(0.01) is None
        assert await follower.next(0.01) is None

    async def test_only_the_first_end_counts(self) -> None:
        live = turn()
        live.end(DONE)
        live.end(Failed(ShuttingDown("x"), None, None))
        assert (await all_of(live.follow(ACCEPTED)))[-1] == DONE


class TestStopping:
    async def test_it_is_stopped_when_the_last_follower_leaves(self) -> None:
        live = turn()
        stops: list[str] = []
        live.on_stop(lambda: stops.append("stop"))
        one, two = live.follow(ACCEPTED), live.follow(ACCEPTED)
        one.leave()
        one.leave()
        assert (live.stopped, stops) == (None, [])
        two.leave()
        assert live.stopped is not None
        assert live.stopped.message == LEFT
        assert stops == ["stop"]

    async def test_the_first_reason_counts(self) -> None:
        live = turn()
        follower = live.follow(ACCEPTED)
        live.stop(ShuttingDown("first"))
        follower.leave()
        assert live.stopped is not None
        assert live.stopped.message == "first"

    async def test_what_ended_is_not_stopped(self) -> None:
        live = turn()
        follower = live.follow(ACCEPTED)
        live.end(DONE)
        follower.leave()
        live.stop(ShuttingDown("late"))
        assert live.stopped is None

    async def test_a_turn_that_is_stopped_before_it_began_stops_as_it_begins(self) -> None:
        live = turn()
        live.stop(Conflict("switched"))
        stops: list[str] = []
        live.on_stop(lambda: stops.append("stop"))
        assert stops == ["stop"]

    async def test_one_whose_task_is_gone_does_not_keep_its_followers(self) -> None:
        live = turn()
        follower = live.follow(ACCEPTED)
        live.abandon()
        end = (await all_of(follower))[-1]
        assert isinstance(end, Failed)
        await live.ended()


class TestLines:
    async def test_first_come_first_served_and_one_at_a_time(self) -> None:
        lines, log = Lines(), list[str]()

        async def stand(name: str) -> None:
            async with lines.turn(SCOPE):
                log.append(f"{name} in")
                await asyncio.sleep(0)
                log.append(f"{name} out")

        await asyncio.gather(*map(stand, "abc"))
        assert log == ["a in", "a out", "b in", "b out", "c in", "c out"]

    async def test_scopes_do_not_wait_for_each_other(self) -> None:
        lines = Lines()
        async with asyncio.timeout(30), lines.turn(SCOPE), lines.turn(Scope("home", "ben", "mira")):
            pass

    async def test_one_who_gives_up_does_not_hold_up_the_rest(self) -> None:
        lines = Lines()
        async with lines.turn(SCOPE):
            waiting = asyncio.create_task(stand_in(lines))
            after = asyncio.create_task(stand_in(lines))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        async with asyncio.timeout(30):
            await after

    async def test_nothing_is_kept_of_an_empty_line(self) -> None:
        lines = Lines()
        async with lines.turn(SCOPE):
            pass
        assert not lines._locks
        assert not lines._waiting


async def stand_in(lines: Lines) -> None:
    async with lines.turn(SCOPE):
        pass
