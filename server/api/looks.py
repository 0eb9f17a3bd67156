"""Looks: which models a character is rendered with, and in which scene."""

from typing import Any

from aiohttp import web
from pydantic import model_validator

from server.api.auth import acting_user, principal
from server.api.body import read_json, read_query
from server.api.respond import json_response, no_content
from server.api.routes import Route
from server.api.schemas import Query
from server.api.services import CATALOG, CHARACTERS, GATE
from server.catalog.looks.model import Look, LookFields
from server.catalog.looks.names import names_of
from server.catalog.records import CharacterRecord, Viewer
from server.errors import Declined, Forbidden
from server.policy.classifier import Intent
from server.policy.gate import Asker

_TAG = "Catalog"


class LookIn(LookFields):
    """The look a character shall have, as a whole: what is not sent is as it begins."""

    @model_validator(mode="before")
    @classmethod
    def _as_it_was_read(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if key not in ("character", "etag")}
        return data


async def read(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    character = await _editable(request)
    return _look(await request.app[CATALOG].looks.get(character.tenant, character.id))


async def put(request: web.Request) -> web.StreamResponse:
    fields = await read_json(request, LookIn)
    character = await _editable(request)
    looks, if_match = request.app[CATALOG].looks, request.headers.get("If-Match")
    if not principal(request).is_admin:
        before = await looks.find(character.tenant, character.id)
        if before is None or before.models() != fields.models():
            raise Forbidden(
                "Models, sizes and steps are an admin's to choose: change the prompt, the negative prompt or the seed.",
                reason="models",
            )
        await _judge(request, character, fields)
        if if_match in (None, "*"):  # else an admin's change of models in this very moment would be undone
            if_match = before.etag
    look = await looks.put(
        character.tenant,
        character.id,
        fields,
        names=names_of(character.card),
        if_match=if_match,
    )
    return _look(look)


async def delete(request: web.Request) -> web.StreamResponse:
    character = await _editable(request)
    await request.app[CATALOG].looks.delete(character.tenant, character.id)
    return no_content()


async def _editable(request: web.Request) -> CharacterRecord:
    """The character that the path names, if who asks may change it.

    Raises:
        NotFound: there is none, or they do not see it.
        Forbidden: they see it but may not change it.
    """
    who = principal(request)
    nobody = who.user is None and "user_id" not in request.query
    viewer = Viewer(None if nobody else acting_user(request), who.is_admin)
    found = await request.app[CHARACTERS].get(who.tenant, request.match_info["character_id"], viewer)
    if not found.editable_by(viewer):
        raise Forbidden("This character belongs to somebody else.", character_id=found.id)
    return found


async def _judge(request: web.Request, character: CharacterRecord, fields: LookFields) -> None:
    """A person's words in a scene pass the gate as their messages do; a render takes a look's as they are.

    Raises:
        Declined: their plan does not have that.
        PolicyUnavailable: it cannot be read now.
    """
    who = principal(request)
    decision = await request.app[GATE].judge(
        Intent(said=[fields.scene.prompt, fields.scene.negative]),
        Asker(who.tier, None, character.card.char, who.name),
    )
    if decision.kind is not None:
        raise Declined(decision.text, kind=decision.kind, level=decision.level, plan=decision.plan)


def _look(look: Look) -> web.StreamResponse:
    return json_response(look, headers={"ETag": f'"{look.etag}"'})


def routes() -> list[Route]:
    look = "/v1/characters/{character_id}/look"
    return [
        Route(
            "GET",
            look,
            read,
            "characters",
            "How a character is rendered",
            _TAG,
            "For those who may change the character; 404 while it has no look.",
            query=Query,
            response=Look,
        ),
        Route(
            "PUT",
            look,
            put,
            "characters",
            "Set how a character is rendered",
            _TAG,
            "Models, sizes, steps and tuning are an admin's to choose; the scene's words and its seed the owner's too, "
            "whose words pass the content gate. The prompt must not hold the character's name. With `If-Match` a look "
            "that was changed meanwhile answers 409.",
            request=LookIn,
            query=Query,
            response=Look,
        ),
        Route("DELETE", look, delete, "characters", "Forget a look", _TAG, query=Query, status=204),
    ]
