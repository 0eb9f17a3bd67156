"""Where the handlers of chat, memory and characters find what they need, and whom a request is for."""

from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel

from server.api.auth import acting_scope, principal
from server.api.body import read_json
from server.api.html import Html
from server.api.keys import ACCOUNTS
from server.catalog.catalog import Catalog
from server.catalog.references import References
from server.catalog.store import CharacterStore
from server.chat.aside import Aside
from server.chat.party import Who
from server.chat.pictures.service import ChatPictures
from server.chat.reconcile.answering import Reconciler
from server.chat.service import ChatService
from server.errors import NotFound
from server.loras.push import Pusher
from server.loras.service import Loras
from server.memory.service import Memory
from server.policy.gate import Gate
from server.render.fleet.fleet import Fleet
from server.render.grids.grids import Grids
from server.render.previews.open import Pictures
from server.routing.ledger.open import Money
from server.routing.report import Reporter
from server.stores.objects import Objects

CHAT: web.AppKey[ChatService] = web.AppKey("chat", ChatService)
CHAT_PICTURES: web.AppKey[ChatPictures] = web.AppKey("chat_pictures", ChatPictures)
MEMORY: web.AppKey[Memory] = web.AppKey("memory", Memory)
CATALOG: web.AppKey[Catalog] = web.AppKey("catalog", Catalog)
CHARACTERS: web.AppKey[CharacterStore] = web.AppKey("characters", CharacterStore)
FLEET: web.AppKey[Fleet] = web.AppKey("fleet", Fleet)
HTML: web.AppKey[Html] = web.AppKey("html", Html)
GRIDS: web.AppKey[Grids] = web.AppKey("grids", Grids)
LORAS: web.AppKey[Loras] = web.AppKey("loras", Loras)
PUSHER: web.AppKey[Pusher] = web.AppKey("pusher", Pusher)
MONEY: web.AppKey[Money] = web.AppKey("money", Money)
GATE: web.AppKey[Gate] = web.AppKey("gate", Gate)
OBJECTS: web.AppKey[Objects] = web.AppKey("objects", Objects)
PICTURES: web.AppKey[Pictures] = web.AppKey("pictures", Pictures)
REFERENCES: web.AppKey[References] = web.AppKey("references", References)
RECONCILER: web.AppKey[Reconciler] = web.AppKey("reconciler", Reconciler)
ASIDE: web.AppKey[Aside] = web.AppKey("aside", Aside)
ROUTING: web.AppKey[Reporter] = web.AppKey("routing", Reporter)

Model = TypeVar("Model", bound=BaseModel)


async def who_is_meant(request: web.Request, user_id: str | None = None, *, character_id: str | None = None) -> Who:
    """The person and conversation of a request, by its path (or `character_id`) and `user_id`.

    The character calls people by the name on record; a person whom only the holder of an API key knows, by their id.

    Raises:
        InvalidId, InvalidRequest, Forbidden: see `acting_scope`.
    """
    if character_id is None:
        character_id = request.match_info["character_id"]
    acting = acting_scope(request, character_id, user_id)
    asking, user = principal(request), acting.scope.user
    if user == asking.user:
        return Who(acting.scope, acting.tier, asking.name)
    try:
        return Who(acting.scope, acting.tier, (await request.app[ACCOUNTS].user(acting.scope.tenant, user)).name)
    except NotFound:
        return Who(acting.scope, acting.tier, user)


async def read_optional(request: web.Request, model: type[Model]) -> Model:
    """The body, as `model`; no body at all is an empty one.

    Raises:
        InvalidRequest and others: as `read_json`.
    """
    return await read_json(request, model) if request.body_exists else model()
