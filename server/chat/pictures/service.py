"""`ChatPictures`: a turn that asks for a picture, and another version of one."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Protocol, cast

from server.catalog.items.inventory import Inventory
from server.catalog.items.items import Items
from server.catalog.items.model import Item
from server.catalog.records import Viewer
from server.chat.party import Party
from server.chat.pictures.asks import PictureAsk, caption
from server.chat.pictures.dresser import Dresser
from server.chat.pictures.gifts import GiftNews
from server.chat.pictures.shown import ShownPictures
from server.errors import Declined, Forbidden, InvalidRequest, NotFound, NotVisual, VestigeError
from server.ids import Scope, parse_message_id
from server.memory.messages import Alternative, Message, Notice, Picture, Role, Status
from server.memory.service import Memory
from server.memory.turns import FinishMode
from server.memory.views import Idempotency
from server.render.previews.types import Person, Preview

__all__ = ["ChatPictures", "Painter", "PictureTurn"]

_NO_PICTURE = "This message shows no picture, and answers no request for one."
_NOT_OWNED = "You do not own this item: only what you own can be worn or given."


class Painter(Protocol):
    """What makes pictures: `server.render.previews`."""

    async def ask(
        self, person: Person, character: str, item: str | None = None, *, scene: str | None = None, variant: int = 0
    ) -> Preview:
        """The preview, ready or on its way. Passes the content gate and puts its cost aside.

        Raises:
            Declined: the content policy says no.
            BudgetExceeded, GenerationDisabled: nothing may be spent.
            InvalidRequest, RenderError, NotFound: it cannot be rendered.
        """
        ...

    async def states(self, person: Person, keys: Sequence[str]) -> Mapping[str, Preview]:
        """How previews stand, by key; one that nobody knows any more is left out."""
        ...


@dataclass(frozen=True, slots=True)
class PictureTurn:
    """`asked`: the person's message, None where a picture is made again. `reply`: the message that shows the picture,
    None where what was given cannot be seen, and the character is to answer in words.
    """

    asked: Message | None
    reply: Message | None


class ChatPictures:
    """Pictures in conversations. A picture belongs to its message; who makes it goes on when nobody looks."""

    def __init__(
        self,
        memory: Memory,
        painter: Painter,
        items: Items,
        inventory: Inventory,
        dresser: Dresser,
        shown: ShownPictures,
        news: GiftNews,
        clock: Callable[[], datetime],
    ) -> None:
        self._memory = memory
        self._painter = painter
        self._items = items
        self._inventory = inventory
        self._dresser = dresser
        self._shown = shown
        self._news = news
        self._clock = clock

    async def ask(self, party: Party, ask: PictureAsk, *, key: str | None = None) -> PictureTurn:
        """Stores the request as a message and has the picture made as its reply. Returns before that is done.

        `key` is the client's idempotency key: the same key and request again get the same message.

        Raises:
            NotFound: there is no such item for this person.
            Forbidden: they do not own what is to be worn or given.
            NotVisual: it cannot be seen; it can only be given.
            Declined is not raised: the reply says it.
            VestigeError: why there is no picture; details.message_id is the request, which is kept.
        """
        scope = party.scope
        claim = None if key is None else Idempotency(_hash(key), _hash([scope.character, ask.extra()]))
        if ask.item is None:
            item = await self._dresser.worn(scope)
            ask = replace(ask, item=item.id if item else None)
        else:
            item = await self._items.get(scope.tenant, ask.item, Viewer(scope.user))
        await self._check(ask, item, scope)
        await self._news.catch_up(party)
        if item is not None and ask.how == "give" and not item.visual:
            return await self._hand_over(party, ask, item, claim)
        turn = await self._memory.begin_turn(
            scope,
            ask.words(item),
            idempotency=claim,
            greeting=party.greeting(),
            speakers=party.speakers,
            tier=party.who.tier,
            extra=ask.extra(),
        )
        if turn.reply.status is not Status.PENDING:
            return PictureTurn(turn.user, turn.reply)
        reply = await self._paint(party, turn.reply, ask, item, variant=0, mode="fill", asked=turn.user)
        return PictureTurn(turn.user, reply)

    async def again(self, party: Party, message_id: str) -> PictureTurn:
        """Has a picture made anew: another version of one that is there, the same one where it came to nothing.

        Raises:
            NotFound: there is no such message, or its item is gone.
            InvalidRequest: it shows no picture.
            VestigeError: as `ask`.
        """
        scope = party.scope
        message = await self._memory.message(scope, message_id)
        shown = [one.picture for one in message.alternatives if one.picture is not None]
        last = message.said.picture or (shown[-1] if shown else None)
        if last is None:
            ask = await self._request_of(scope, message)
            variant, mode = 0, "add" if message.text else "fill"
        else:
            ask = PictureAsk(last.item, last.scene)
            state = (await self._painter.states(_person(party), [last.key])).get(last.key)
            lost = state is None or state.state in ("failed", "none")
            mode = "replace" if lost and message.said.picture is last else "add"
            variant = last.variant if lost else 1 + max(one.variant for one in shown)
        item = await self._items.get(scope.tenant, ask.item, Viewer(scope.user)) if ask.item else None
        return PictureTurn(None, await self._paint(party, message, ask, item, variant=variant, mode=mode, asked=None))

    async def states(self, person: Person, messages: Sequence[Message]) -> Mapping[str, Preview]:
        """How the pictures in these messages stand, by their keys."""
        keys = {one.picture.key for message in messages for one in message.alternatives if one.picture is not None}
        return await self._painter.states(person, sorted(keys)) if keys else {}

    async def erase(self, tenant: str, user: str) -> None:
        """Takes out what is noted of a person beside their messages."""
        await self._shown.erase(tenant, user)
        await self._news.erase(tenant, user)
        await self._dresser.erase(tenant, user)

    # inside

    async def _check(self, ask: PictureAsk, item: Item | None, scope: Scope) -> None:
        if item is not None and not item.visual and ask.how != "give":
            raise NotVisual("This item cannot be seen, so there is no picture of it.", field="item_id")
        if ask.how == "show":
            return
        if item is None:
            raise InvalidRequest("Name the item that is to be worn or given.", field="item_id")
        if not await self._inventory.owns(scope.tenant, scope.user, item.id):
            raise Forbidden(_NOT_OWNED, field="item_id")

    async def _dress(self, scope: Scope, ask: PictureAsk, message_id: str) -> None:
        if ask.item is None or ask.how == "show":
            return
        await self._dresser.put(scope, ask.item)
        if ask.how == "give":
            await self._dresser.give(scope, ask.item, message_id)

    async def _hand_over(self, party: Party, ask: PictureAsk, item: Item, claim: Idempotency | None) -> PictureTurn:
        """Gives what cannot be seen: it is said, and nothing is painted."""
        turn = await self._memory.begin_turn(
            party.scope,
            ask.words(item),
            idempotency=claim,
            greeting=party.greeting(),
            speakers=party.speakers,
            tier=party.who.tier,
            extra={"event": "gift", "item": item.id},
        )
        assert turn.user is not None  # noqa: S101 - a turn that was begun by a message has it
        await self._dresser.give(party.scope, item.id, turn.user.id)
        return PictureTurn(turn.user, None)

    async def _request_of(self, scope: Scope, reply: Message) -> PictureAsk:
        """What a reply that has nothing in it yet was asked for."""
        before = await self._memory.history(scope, before=reply.seq, limit=1)
        ask = PictureAsk.of(before.messages[-1].extra) if before.messages else None
        if ask is None or reply.role is not Role.ASSISTANT:
            raise InvalidRequest(_NO_PICTURE, field="message_id")
        return ask

    async def _paint(
        self,
        party: Party,
        reply: Message,
        ask: PictureAsk,
        item: Item | None,
        *,
        variant: int,
        mode: str,
        asked: Message | None,
    ) -> Message:
        """The reply with the picture in it; `asked`, where it is the answer to that, has put on what is to be worn."""
        scope, mode = party.scope, cast(FinishMode, mode)
        try:
            if asked is not None:
                await self._dress(scope, ask, asked.id)
            preview = await self._painter.ask(
                _person(party), scope.character, ask.item, scene=ask.scene, variant=variant
            )
        except Declined as no:
            return await self._keep(scope, reply, _declined(no, self._clock()), mode)
        except VestigeError as error:
            if mode == "fill":
                failed = Alternative("", self._clock(), Status.FAILED, error=error.code)
                await self._keep(scope, reply, failed, mode)
            if asked is not None:
                error.details = {**error.details, "message_id": asked.id}
            raise
        there = next((at for at, one in enumerate(reply.alternatives) if _shows(one, preview.key)), None)
        if there is not None:
            return reply if there == reply.chosen else await self._memory.choose(scope, reply.id, there)
        await self._shown.note(scope, reply.id, preview.key)
        picture = Picture(preview.key, ask.item, ask.scene, variant)
        text = caption(party.card.char, item, ask.scene)
        return await self._keep(scope, reply, Alternative(text, self._clock(), picture=picture), mode)

    async def _keep(self, scope: Scope, reply: Message, alternative: Alternative, mode: FinishMode) -> Message:
        epoch, seq = parse_message_id(reply.id)
        kept = await self._memory.finish_reply(scope, epoch, seq, alternative, mode=mode)
        if kept is None:
            raise NotFound("The message was deleted meanwhile.", field="message_id")
        return kept


def _person(party: Party) -> Person:
    who = party.who
    return Person(who.scope.tenant, who.scope.user, who.tier, who.user_name)


def _shows(alternative: Alternative, key: str) -> bool:
    return alternative.picture is not None and alternative.picture.key == key


def _declined(no: Declined, at: datetime) -> Alternative:
    """The policy's words in the picture's place."""
    kind = cast(Literal["declined", "safety"], no.details.get("kind", "declined"))
    level, plan = no.details.get("level"), no.details.get("plan")
    known = isinstance(level, str) and isinstance(plan, str)
    notice = Notice(kind, str(level), str(plan)) if known else Notice(kind)
    return Alternative(no.message, at, notice=notice)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
