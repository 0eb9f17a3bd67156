"""Pictures in a conversation: asking for one, and for another version of one."""

from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from server.api.auth import Acting, limit_turns, principal
from server.api.body import message_text, read_json
from server.api.idempotency import idempotency_key
from server.api.picture_views import Pictures
from server.api.respond import json_response
from server.api.routes import Route
from server.api.schemas import Body, MessageOut
from server.api.services import CHARACTERS, CHAT_PICTURES, HTML, read_optional, who_is_meant
from server.api.views import message_out
from server.catalog.records import Viewer
from server.chat.party import Party, Who
from server.chat.pictures.asks import PictureAsk
from server.chat.pictures.service import PictureTurn
from server.memory.messages import Message
from server.render.previews.types import Person

_TAG = "Chat"
SCENE = 1_000
"""Characters: a scene is a line or two, and a text encoder reads 77 tokens at once."""


class PictureIn(Body):
    """What the picture is to show. `item_id`: on the character; what they wear where it is not given. `prompt`: where
    and how, in a person's words. `how`: `show` it, `wear` it from now on, or `give` it to the character.
    """

    item_id: str | None = None
    prompt: Annotated[str, Field(max_length=SCENE)] | None = None
    how: Literal["show", "wear", "give"] = "show"


class AgainIn(Body):
    pass


class PictureTurnOut(BaseModel):
    """`asked`: the person's message, null where a picture is made again. `message`: the one that shows the picture,
    null where what was given cannot be seen: `regenerate` then has the character answer in words.
    """

    asked: MessageOut | None
    message: MessageOut | None


async def ask(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, PictureIn)
    scene = message_text(request, body.prompt) if body.prompt and body.prompt.strip() else None
    party = await _party(request, body.user_id)
    key = idempotency_key(request)
    turn = await request.app[CHAT_PICTURES].ask(party, PictureAsk(body.item_id, scene, body.how), key=key)
    return await _answer(request, party.who, turn)


async def again(request: web.Request) -> web.StreamResponse:
    body = await read_optional(request, AgainIn)
    party = await _party(request, body.user_id)
    turn = await request.app[CHAT_PICTURES].again(party, request.match_info["message_id"])
    return await _answer(request, party.who, turn)


async def pictures_in(request: web.Request, who: Who, *messages: Message) -> Pictures:
    """How the pictures in these messages stand; most have none, and then nobody is asked."""
    if all(one.picture is None for message in messages for one in message.alternatives):
        return {}
    scope = who.scope
    person = Person(scope.tenant, scope.user, who.tier, who.user_name, principal(request).is_admin)
    return await request.app[CHAT_PICTURES].states(person, messages)


async def _party(request: web.Request, user_id: str | None) -> Party:
    who = await who_is_meant(request, user_id)
    await limit_turns(request, Acting(who.scope, who.tier))
    character = await request.app[CHARACTERS].get(who.scope.tenant, who.scope.character, Viewer(who.scope.user))
    return Party.of(who, character.card)


async def _answer(request: web.Request, who: Who, turn: PictureTurn) -> web.StreamResponse:
    messages = [one for one in (turn.asked, turn.reply) if one is not None]
    pictures = await pictures_in(request, who, *messages)
    html = request.app[HTML]
    out = PictureTurnOut(
        asked=await message_out(turn.asked, html) if turn.asked else None,
        message=await message_out(turn.reply, html, pictures) if turn.reply else None,
    )
    on_its_way = any(one.state in ("waiting", "running") for one in pictures.values())
    return json_response(out, status=202 if on_its_way else 200)


def routes() -> list[Route]:
    base = "/v1/chat/{character_id}/pictures"
    return [
        Route(
            "POST",
            base,
            ask,
            "chat",
            "Ask for a picture",
            _TAG,
            "Answers at once: 200 with the picture where it is there, 202 where it is being made. It is made to its "
            "end whether or not anybody waits, and its message shows it from then on. With an `Idempotency-Key` header "
            "a repeated request gets the first one's message.",
            request=PictureIn,
            response=PictureTurnOut,
        ),
        Route(
            "POST",
            base + "/{message_id}/again",
            again,
            "chat",
            "Have a picture made again",
            _TAG,
            "Another version, which becomes the chosen one; the same one anew where it failed or was thrown away.",
            request=AgainIn,
            response=PictureTurnOut,
        ),
    ]
