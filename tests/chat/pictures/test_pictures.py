"""Asking for pictures: what is stored, what is worn, and what a refusal leaves."""

import asyncio

import pytest

from server.chat.pictures.asks import PictureAsk
from server.errors import (
    BudgetExceeded,
    Declined,
    Forbidden,
    GraphRejected,
    InvalidRequest,
    NotFound,
    NotVisual,
    VestigeError,
)
from server.memory.messages import Picture, Status
from server.render.previews.types import Person
from tests.chat.pictures.conftest import Studio

PERSON = Person("home", "ann", "free", "Ann")


class TestAsking:
    async def test_the_request_and_its_picture_are_messages(self, studio: Studio) -> None:
        turn = await studio.pictures.ask(studio.party, PictureAsk(scene="on a beach"))
        assert turn.reply is not None
        assert await studio.said() == [
            ("assistant", "Good evening."),
            ("user", "/picture on a beach"),
            ("assistant", "(A picture of Mira: on a beach)"),
        ]
        key = next(iter(studio.painter.known))
        assert turn.reply.said.picture == Picture(key, None, "on a beach")
        assert turn.reply.status is Status.COMPLETE

    async def test_what_is_worn_is_on_the_next_picture(self, studio: Studio) -> None:
        dress = await studio.item("Red dress")
        await studio.pictures.ask(studio.party, PictureAsk(dress.id, how="wear"))
        turn = await studio.pictures.ask(studio.party, PictureAsk(scene="at sea"))
        assert turn.reply is not None
        assert turn.reply.text == "(A picture of Mira wearing “Red dress”: at sea)"
        assert studio.painter.asked[-1] == (studio.scope.character, dress.id, "at sea", 0)

    async def test_showing_something_does_not_put_it_on(self, studio: Studio) -> None:
        dress = await studio.item("Red dress", owned=False)
        await studio.pictures.ask(studio.party, PictureAsk(dress.id))
        assert await studio.worn.get("home", studio.scope.user, studio.scope.character) is None

    async def test_the_same_key_is_the_same_message(self, studio: Studio) -> None:
        turns = await asyncio.gather(
            *(studio.pictures.ask(studio.party, PictureAsk(scene="x"), key="one") for _ in range(4))
        )
        assert len({turn.reply.id for turn in turns if turn.reply}) == 1
        assert [role for role, _ in await studio.said()] == ["assistant", "user", "assistant"]

    @pytest.mark.parametrize("how", ["wear", "give"])
    async def test_only_what_is_owned_can_be_worn_or_given(self, studio: Studio, how: str) -> None:
        dress = await studio.item("Red dress", owned=False)
        with pytest.raises(Forbidden):
            await studio.pictures.ask(studio.party, PictureAsk(dress.id, how=how))  # type: ignore[arg-type]
        assert await studio.said() == []
        assert studio.painter.asked == []

    async def test_a_key_is_of_the_request_whatever_is_worn_by_then(self, studio: Studio) -> None:
        first = await studio.pictures.ask(studio.party, PictureAsk(scene="x"), key="one")
        dress = await studio.item("Red dress")
        await studio.worn.put("home", studio.scope.user, studio.scope.character, dress.id)
        second = await studio.pictures.ask(studio.party, PictureAsk(scene="x"), key="one")
        assert first.reply == second.reply

    @pytest.mark.parametrize("how", ["show", "wear"])
    async def test_what_cannot_be_seen_stores_nothing(self, studio: Studio, how: str) -> None:
        song = await studio.item("A song", visual=False)
        with pytest.raises(NotVisual):
            await studio.pictures.ask(studio.party, PictureAsk(song.id, how=how))  # type: ignore[arg-type]
        assert await studio.said() == []

    async def test_an_unknown_item_stores_nothing(self, studio: Studio) -> None:
        with pytest.raises(NotFound):
            await studio.pictures.ask(studio.party, PictureAsk("no-such"))
        assert await studio.said() == []


class TestRefusals:
    async def test_a_decline_is_the_characters_words(self, studio: Studio) -> None:
        studio.painter.refuses = Declined("Not that, dear.", kind="declined", level="mature", plan="top")
        turn = await studio.pictures.ask(studio.party, PictureAsk(scene="something"))
        assert turn.reply is not None
        said = turn.reply.said
        assert (said.text, said.picture, said.notice and said.notice.plan) == ("Not that, dear.", None, "top")
        assert turn.reply.declined
        studio.painter.refuses = None  # another plan, or another policy
        again = (await studio.pictures.again(studio.party, turn.reply.id)).reply
        assert again is not None
        assert [one.picture is not None for one in again.alternatives] == [False, True]
        assert again.chosen == 1

    @pytest.mark.parametrize(
        "error", [BudgetExceeded("Spent.", retry_after=1), GraphRejected("No checkpoint x.safetensors at gpu1.")]
    )
    async def test_another_keeps_the_request_and_can_be_tried_again(self, studio: Studio, error: VestigeError) -> None:
        studio.painter.refuses = error
        with pytest.raises(type(error)) as caught:
            await studio.pictures.ask(studio.party, PictureAsk(scene="at sea"))
        page = await studio.memory.history(studio.scope)
        request, reply = page.messages[-2:]
        assert caught.value.details["message_id"] == request.id
        assert (reply.status, reply.said.error) == (Status.FAILED, error.code)
        studio.painter.refuses = None
        turn = await studio.pictures.again(studio.party, reply.id)
        assert turn.reply is not None
        assert (turn.reply.text, len(turn.reply.alternatives)) == ("(A picture of Mira: at sea)", 1)


class TestAgain:
    async def test_another_version_is_another_picture(self, studio: Studio) -> None:
        studio.painter.begins_as = "ready"
        first = (await studio.pictures.ask(studio.party, PictureAsk(scene="at sea"))).reply
        assert first is not None
        second = (await studio.pictures.again(studio.party, first.id)).reply
        third = (await studio.pictures.again(studio.party, first.id)).reply
        assert second is not None
        assert third is not None
        assert [one.picture.variant for one in third.alternatives if one.picture] == [0, 1, 2]
        assert third.chosen == 2
        chosen = await studio.memory.choose(studio.scope, first.id, 0)
        assert chosen.said == first.said

    @pytest.mark.parametrize("state", ["failed", "none"])
    async def test_one_that_came_to_nothing_is_made_in_its_place(self, studio: Studio, state: str) -> None:
        reply = (await studio.pictures.ask(studio.party, PictureAsk(scene="at sea"))).reply
        assert reply is not None
        assert reply.said.picture is not None
        studio.painter.becomes(reply.said.picture.key, state)  # type: ignore[arg-type]
        again = (await studio.pictures.again(studio.party, reply.id)).reply
        assert again is not None
        assert len(again.alternatives) == 1
        assert studio.painter.asked == [(studio.scope.character, None, "at sea", 0)] * 2

    async def test_words_are_no_picture(self, studio: Studio) -> None:
        turn = await studio.memory.begin_turn(studio.scope, "Hello")
        with pytest.raises(InvalidRequest):
            await studio.pictures.again(studio.party, turn.reply.id)


class TestStates:
    async def test_pictures_of_a_page_are_looked_up_together(self, studio: Studio) -> None:
        for scene in ("a", "b"):
            await studio.pictures.ask(studio.party, PictureAsk(scene=scene))
        page = await studio.memory.history(studio.scope)
        states = await studio.pictures.states(PERSON, page.messages)
        assert set(states) == set(studio.painter.known)
