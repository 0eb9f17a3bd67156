"""A picture belongs to its message, a gift to its conversation: kept with it, gone with it."""

from server.catalog.items.model import Grant
from server.catalog.records import Viewer
from server.chat.beside import Wardrobe, all_before, since
from server.chat.pictures.asks import PictureAsk
from server.ids import Scope, parse_message_id
from server.memory.messages import Alternative
from tests.chat.pictures.conftest import Studio


async def key_of(studio: Studio, scene: str) -> tuple[str, str]:
    """A picture's key and its message."""
    reply = (await studio.pictures.ask(studio.party, PictureAsk(scene=scene))).reply
    assert reply is not None
    assert reply.said.picture is not None
    return reply.said.picture.key, reply.id


class TestPictures:
    async def test_what_a_message_shows_is_not_thrown_away(self, studio: Studio) -> None:
        key, _ = await key_of(studio, "a")
        assert await studio.shown.among([key, "another"]) == {key}

    async def test_a_deleted_message_lets_go_of_its_picture(self, studio: Studio) -> None:
        (kept, _), (gone, message) = await key_of(studio, "a"), await key_of(studio, "b")
        await studio.memory.delete_from(studio.scope, message)
        await studio.beside.after_removal(studio.scope, since(message))
        assert studio.painter.dropped == {gone}
        assert await studio.shown.among([kept, gone]) == {kept}

    async def test_one_that_another_message_shows_too_stays(self, studio: Studio) -> None:
        (key, _), (same, message) = await key_of(studio, "a"), await key_of(studio, "a")
        assert key == same
        await studio.memory.delete_from(studio.scope, message)
        await studio.beside.after_removal(studio.scope, since(message))
        assert studio.painter.dropped == set()

    async def test_they_are_there_after_their_window_has_closed(self, studio: Studio) -> None:
        keys = [(await key_of(studio, scene))[0] for scene in "abcdef"]
        await studio.memory.upkeep(studio.scope)
        assert await studio.shown.among(keys) == set(keys)

    async def test_a_reset_lets_go_of_all_of_them(self, studio: Studio) -> None:
        keys = {(await key_of(studio, scene))[0] for scene in "ab"}
        epoch = await studio.memory.reset(studio.scope)
        await studio.beside.after_removal(studio.scope, all_before(epoch))
        assert studio.painter.dropped == keys


class TestWardrobe:
    async def test_a_turn_knows_what_is_worn_and_given(self, studio: Studio) -> None:
        dress, ring = await studio.item("Red dress"), await studio.item("Silver ring")
        assert await studio.beside.wardrobe(studio.scope) is None
        await studio.pictures.ask(studio.party, PictureAsk(dress.id, how="give"))
        await studio.pictures.ask(studio.party, PictureAsk(ring.id, how="give"))
        assert await studio.beside.wardrobe(studio.scope) == Wardrobe("Silver ring", ("Silver ring", "Red dress"))

    async def test_what_cannot_be_seen_is_given_in_words_and_not_worn(self, studio: Studio) -> None:
        song = await studio.item("A song", visual=False)
        turn = await studio.pictures.ask(studio.party, PictureAsk(song.id, how="give"))
        assert turn.reply is None
        assert studio.painter.asked == []
        assert await studio.beside.wardrobe(studio.scope) == Wardrobe(None, ("A song",))

    async def test_a_gift_is_forgotten_with_the_message_that_gave_it(self, studio: Studio) -> None:
        dress = await studio.item("Red dress")
        turn = await studio.pictures.ask(studio.party, PictureAsk(dress.id, how="give"))
        assert turn.asked is not None
        await studio.memory.forget(studio.scope, [turn.asked.id])
        await studio.beside.after_removal(studio.scope, {turn.asked.id}.__contains__)
        assert await studio.beside.wardrobe(studio.scope) == Wardrobe("Red dress", ())


class TestGifts:
    async def gift(self, studio: Studio, title: str = "Red dress") -> Grant:
        """Tom gives Ann something."""
        tom = await studio.accounts.add_user("home", "Tom")
        item = await studio.item(title, owned=False)
        await studio.inventory.grant("home", tom.id, item)
        return (await studio.inventory.grant("home", studio.scope.user, item, giver=tom.id)).grant

    async def test_the_active_character_is_told_once(self, studio: Studio) -> None:
        await studio.accounts.set_active("home", studio.scope.user, studio.scope.character)
        grant = await self.gift(studio)
        for _ in range(3):
            await studio.news.granted(grant)
        assert await studio.said() == [
            ("assistant", "Good evening."),
            ("user", "*Tom has sent a gift: “Red dress”*"),
        ]
        event = (await studio.memory.history(studio.scope)).messages[-1]
        assert event.extra == {"event": "gift", "item": grant.item}

    async def test_it_is_recalled_long_after(self, studio: Studio) -> None:
        await studio.accounts.set_active("home", studio.scope.user, studio.scope.character)
        await studio.news.granted(await self.gift(studio, "Paper lantern"))
        for number in range(12):
            await studio.memory.begin_turn(studio.scope, f"Of nets and ropes, {number}")
            page = await studio.memory.history(studio.scope, limit=1)
            said = Alternative("I see.", page.messages[0].created)
            epoch, seq = parse_message_id(page.messages[0].id)
            await studio.memory.finish_reply(studio.scope, epoch, seq, said, mode="fill")
        await studio.memory.upkeep(studio.scope)
        found = await studio.memory.recall(
            studio.scope, "Who sent the paper lantern?", speakers=studio.party.speakers, budget_tokens=400
        )
        assert "Paper lantern" in str(found.spans)

    async def test_the_first_to_be_talked_to_is_told_where_nobody_was_active(self, studio: Studio) -> None:
        grant = await self.gift(studio)
        await studio.news.granted(grant)
        assert await studio.said() == []
        await studio.beside.before_turn(studio.party)
        await studio.beside.before_turn(studio.party)
        await studio.accounts.set_active("home", studio.scope.user, studio.scope.character)
        await studio.news.granted(grant)
        assert [text for _, text in await studio.said()] == ["Good evening.", "*Tom has sent a gift: “Red dress”*"]

    async def test_no_second_character_is_told(self, studio: Studio) -> None:
        await studio.accounts.set_active("home", studio.scope.user, studio.scope.character)
        grant = await self.gift(studio)
        await studio.news.granted(grant)
        await studio.accounts.set_active("home", studio.scope.user, "other")
        await studio.news.granted(grant)
        assert not (await studio.memory.history(Scope("home", studio.scope.user, "other"))).messages

    async def test_what_the_shop_sells_is_no_news(self, studio: Studio) -> None:
        await studio.accounts.set_active("home", studio.scope.user, studio.scope.character)
        item = await studio.item("Red dress", owned=False)
        await studio.news.granted((await studio.inventory.grant("home", studio.scope.user, item, "bought")).grant)
        assert await studio.said() == []

    async def test_an_item_deleted_meanwhile_is_not_spoken_of(self, studio: Studio) -> None:
        grant = await self.gift(studio)
        await studio.news.granted(grant)
        await studio.items.delete("home", grant.item, Viewer(None, admin=True))
        await studio.beside.before_turn(studio.party)
        assert await studio.said() == []


async def test_deleting_a_person_leaves_no_note_of_them(studio: Studio) -> None:
    dress = await studio.item("Red dress")
    await studio.pictures.ask(studio.party, PictureAsk(dress.id, how="give"))
    await studio.pictures.erase("home", studio.scope.user)
    state = studio.shown._state
    assert [key async for key in state.scan_iter("vestige:pictures:*")] == []
