"""What a preview is of: who may see it, which words are in it, and the graph that makes it."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from server.catalog.catalog import Catalog
from server.catalog.items.model import Item
from server.catalog.looks.model import Look
from server.catalog.looks.names import names_of, without_names
from server.catalog.records import CharacterRecord, Viewer
from server.catalog.store import CharacterStore
from server.errors import InvalidRequest, NotVisual
from server.loras.names import name_at_hosts
from server.loras.records import LoraVersion as Registered
from server.render.fleet.fleet import Fleet
from server.render.graphs.build import build
from server.render.graphs.key import Hashes, preview_key, unverified
from server.render.graphs.nodes import Graph
from server.render.graphs.request import LoraVersion, PictureRequest
from server.render.jobs.types import Order
from server.render.previews.types import Person

__all__ = ["MAX_SCENE", "Pair", "Subject", "Subjects"]

MAX_SCENE = 1_000
"""Characters of a person's own words for a picture."""
_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Pair:
    """A character, what it wears (None: nothing of the catalog), and how it is rendered now."""

    tenant: str
    character: CharacterRecord
    item: Item | None
    look: Look
    lora: Registered | None


@dataclass(frozen=True, slots=True)
class Subject:
    """A picture that may be there or be made. `owner`: who alone may see it, None where everybody of the tenant may."""

    pair: Pair
    key: str
    owner: str | None
    request: PictureRequest
    graph: Graph
    hashes: Hashes

    @property
    def item(self) -> str | None:
        return None if self.pair.item is None else self.pair.item.id

    @property
    def made_with(self) -> str | Mapping[str, Any]:
        """The preset's name, or the tuning's values."""
        return self.request.preset or dict(self.request.tuning)


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found out of a pair: the key by content alone, and what it comes from."""

    key: str
    request: PictureRequest
    graph: Graph
    hashes: Hashes


class Subjects:
    """Finds out what a picture would be made of. What was found out is remembered by what it was found from."""

    def __init__(self, characters: CharacterStore, catalog: Catalog, fleet: Fleet) -> None:
        self._characters = characters
        self._catalog = catalog
        self._fleet = fleet
        self._known: OrderedDict[tuple[object, ...], _Found] = OrderedDict()

    async def pair(self, tenant: str, character: str, item: str | None, viewer: Viewer) -> Pair:
        """What the viewer sees of both.

        Raises:
            NotFound: no such character or item for them, no look, no such LoRA.
            NotVisual: the item cannot be seen on anybody.
            InvalidRequest: it has no picture yet.
        """
        catalog = self._catalog
        record, worn, look = await asyncio.gather(
            self._characters.get(tenant, character, viewer),
            _nothing() if item is None else catalog.items.get(tenant, item, viewer),
            catalog.looks.get(tenant, character),
        )
        if worn is not None:
            check_wearable(worn)
        return Pair(tenant, record, worn, look, await catalog.looks.lora(tenant, look))

    async def subject(self, pair: Pair, person: Person, *, scene: str | None = None, variant: int = 0) -> Subject:
        """The picture of a pair for a person. `variant` n has the look's seed + n.

        Raises:
            InvalidRequest: something that no host could render, a preset that does not fit.
            HostUnavailable: no host was ever seen, so nobody knows what they can render.
        """
        generation, item = await self._fleet.generation(), pair.item
        made_from = (
            pair.tenant,
            pair.look.etag,
            pair.look.character,
            pair.lora,
            item and (item.reference, item.prompt_hint),
            pair.character.etag,
            scene,
            variant,
            generation,
        )
        found = self._known.get(made_from)
        if found is None:
            request = await self._fleet.complete(_request(pair, scene, variant))
            graph, hashes = build(request), await self._fleet.files()
            found = _Found(preview_key(graph, hashes), request, graph, hashes)
            self._known[made_from] = found
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        owner = _owner(pair, person, scene)
        return Subject(pair, _own(found.key, pair.tenant, owner), owner, found.request, found.graph, found.hashes)

    async def order(self, subject: Subject, person: Person, *, urgent: bool) -> Order:
        """What a worker needs to render it.

        Raises:
            GraphRejected: every host that is up lacks something; the sentence names it.
        """
        now, request, pair = datetime.now(UTC), subject.request, subject.pair
        needs = await self._fleet.needs(subject.graph, urgent=urgent, since=now.timestamp())
        facts = {
            "template": request.template,
            "checkpoint": request.checkpoint,
            "lora": None if request.lora is None else str(request.lora),
            "adapter": request.adapter,
            "encoder": request.encoder,
            "preset": request.preset,
            "reference": request.reference,
            "look": pair.look.etag,
            "seed": request.seed,
            "hashes": {
                f"{file.folder}/{file.name}": subject.hashes.get((file.folder, file.name)) or file.sha256
                for file in subject.graph.files()
            },
            "unverified": [f"{file.folder}/{file.name}" for file in unverified(subject.graph, subject.hashes)],
            "asked": now.isoformat(),
        }
        return Order(
            key=subject.key,
            tenant=pair.tenant,
            user=person.user,
            tier=person.tier,
            owner=subject.owner,
            character=pair.character.id,
            item=subject.item,
            graph=subject.graph,
            needs=needs,
            reference=request.reference,
            width=request.width,
            height=request.height,
            made_with=subject.made_with,
            facts=facts,
        )


def check_wearable(item: Item) -> None:
    """Raises:
    NotVisual: it cannot be seen on anybody.
    InvalidRequest: it has no picture yet.
    """
    if not item.visual:
        raise NotVisual("This item cannot be seen, so there is no picture of anybody wearing it.", item_id=item.id)
    if item.reference is None:
        raise InvalidRequest("This item has no picture of its own yet: upload one first.", item_id=item.id)


def _request(pair: Pair, scene: str | None, variant: int) -> PictureRequest:
    """Scene and composition are in the prompt, and what the item is; never who the character is."""
    look, item, lora = pair.look, pair.item, pair.lora
    around = look.scene
    parts = (scene or around.prompt, "" if item is None else item.prompt_hint)
    words = ", ".join(part.strip().rstrip(",.") for part in parts if part.strip())
    return PictureRequest(
        checkpoint=look.checkpoint,
        lora=None if lora is None else LoraVersion(name_at_hosts(pair.tenant, lora.name), lora.version, lora.sha256),
        preset=look.preset,
        adapter=look.adapter,
        encoder=look.encoder,
        reference=None if item is None else item.reference,
        prompt=without_names(words, names_of(pair.character.card)),
        negative=around.negative,
        seed=(around.seed + variant) % 2**64,
        steps=around.steps,
        cfg=around.cfg,
        sampler=around.sampler,
        scheduler=around.scheduler,
        width=around.width,
        height=around.height,
        tuning=look.tuning.values_by_slot(),
    )


def _owner(pair: Pair, person: Person, scene: str | None) -> str | None:
    """Whose alone the picture is: of a person's own upload, character or words."""
    item = pair.item
    if item is not None and item.owner is not None:
        return item.owner
    if not pair.character.shared and pair.character.owner is not None:
        return pair.character.owner
    hidden = scene is not None or not pair.character.shared or (item is not None and not item.public)
    return person.user if hidden else None


def _own(content: str, tenant: str, owner: str | None) -> str:
    """No two people share the file of a private picture: what one of them deletes is then nobody else's."""
    if owner is None:
        return content
    return hashlib.sha256("\0".join(("vestige preview", tenant, owner, content)).encode()).hexdigest()


async def _nothing() -> None:
    return None
