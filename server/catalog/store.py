"""The characters of every tenant: who sees which, and what they may do with them."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

from server.catalog import pictures
from server.catalog.etags import matches
from server.catalog.files import disk_errors
from server.catalog.models import CharacterDraft, CharacterFields
from server.catalog.reading import CardFile, read_card, write_card
from server.catalog.records import CharacterRecord, Viewer
from server.catalog.shelf import Shelf
from server.errors import Conflict, Forbidden, InvalidCard, NotFound
from server.ids import check_slug

P = ParamSpec("P")
R = TypeVar("R")
Records = list[CharacterRecord]

_PICTURES_AT_ONCE = 2  # a large picture takes some 100 MB while it is decoded


@dataclass(frozen=True, slots=True)
class Portrait:
    """A character's picture as it is served. `etag` changes with the picture."""

    content: bytes
    content_type: str
    etag: str


class CharacterStore:
    """Characters as files under `folder`, one folder per tenant; see `shelf.py` for what is in it.

    A viewer sees characters that are shared, their own, and as an admin all; what is not seen is not found. Owners and
    admins change and delete. Every method may raise `InvalidId` for a tenant or character that is no id, and
    `StoreUnavailable` when the disk refuses; no change is ever half made.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._folder = folder
        self._clock = clock
        self._shelves: dict[str, Shelf] = {}
        self._lock = threading.Lock()
        self._decoding = threading.BoundedSemaphore(_PICTURES_AT_ONCE)

    async def list(self, tenant: str, viewer: Viewer) -> Records:
        """The characters the viewer sees, by name. An admin also sees damaged files, with `damaged` set."""
        return await _in_thread(self._list, tenant, viewer)

    async def get(self, tenant: str, id: str, viewer: Viewer) -> CharacterRecord:
        """One character.

        Raises:
            NotFound: there is none, or the viewer may not see it.
            InvalidCard: its file is damaged (an admin is told so).
        """
        return await _in_thread(self._get, tenant, id, viewer)

    async def create(
        self, tenant: str, draft: CharacterDraft, owner: str | None, shared: bool = False
    ) -> CharacterRecord:
        """A new character. `draft.shared`, where it was sent, wins over `shared`.

        Raises:
            TooLarge: the card is longer than 1 MB.
        """
        sharing = shared if draft.sharing is None else draft.sharing
        return await _in_thread(self._shelf(tenant).add, draft.card(), None, owner, sharing)

    async def update(
        self, tenant: str, id: str, changes: CharacterFields, viewer: Viewer, if_match: str | None = None
    ) -> CharacterRecord:
        """The character with the fields that were sent replaced.

        Raises:
            NotFound, InvalidCard: as `get`.
            Forbidden: the viewer sees it but may not change it.
            Conflict: `if_match` is an etag (with quotes or without) and the character has another one by now.
            TooLarge: the card is longer than 1 MB.
        """
        return await _in_thread(self._update, tenant, id, changes, viewer, if_match)

    async def delete(self, tenant: str, id: str, viewer: Viewer) -> None:
        """Removes the character; damaged ones too, for an admin.

        Raises:
            NotFound, Forbidden: as `update`.
        """
        await _in_thread(self._delete, tenant, id, viewer)

    async def duplicate(self, tenant: str, id: str, viewer: Viewer) -> CharacterRecord:
        """A copy of a character that the viewer sees: the same card and picture, the viewer's own, not shared.

        Raises:
            NotFound, InvalidCard: as `get`.
        """
        return await _in_thread(self._duplicate, tenant, id, viewer)

    async def import_card(self, tenant: str, data: bytes, owner: str | None, shared: bool = False) -> CharacterRecord:
        """A new character from a card file (PNG, JSON or CHARX); `notices` say what could not be kept or used.

        Raises:
            TooLarge, InvalidCard: see `read_card`.
        """
        return await _in_thread(self._import, tenant, data, owner, shared)

    async def export_card(self, tenant: str, id: str, viewer: Viewer, kind: Literal["json", "png"]) -> CardFile:
        """The character as a file to download, with every key it was imported with.

        Raises:
            NotFound, InvalidCard: as `get`.
        """
        return await _in_thread(self._export, tenant, id, viewer, kind)

    async def set_avatar(self, tenant: str, id: str, picture: bytes | None, viewer: Viewer) -> CharacterRecord:
        """The character with this picture (PNG, JPEG or WebP) re-encoded as its portrait; None takes it away.

        Raises:
            NotFound, Forbidden: as `update`.
            TooLarge, InvalidRequest: see `pictures.portrait`.
        """
        return await _in_thread(self._set_avatar, tenant, id, picture, viewer)

    async def avatar(self, tenant: str, id: str, viewer: Viewer) -> Portrait:
        """The character's picture.

        Raises:
            NotFound: there is no such character for the viewer, or it has no picture.
        """
        return await _in_thread(self._avatar, tenant, id, viewer)

    async def owned(self, tenant: str, user: str) -> Records:
        """A user's own characters, for their export."""
        return await _in_thread(self._owned, tenant, user)

    async def delete_owned(self, tenant: str, user: str) -> int:
        """Removes a user's own characters, shared ones too, and returns how many there were."""
        return await _in_thread(self._delete_owned, tenant, user)

    def _shelf(self, tenant: str) -> Shelf:
        check_slug(tenant, "tenant")
        with self._lock:
            if tenant not in self._shelves:
                self._shelves[tenant] = Shelf(self._folder / tenant, tenant, self._clock)
            return self._shelves[tenant]

    def _seen(self, tenant: str, id: str, viewer: Viewer) -> CharacterRecord:
        record = self._shelf(tenant).record(id)
        if not record.visible_to(viewer):
            raise NotFound("There is no such character.", character_id=id)
        return record

    def _get(self, tenant: str, id: str, viewer: Viewer) -> CharacterRecord:
        record = self._seen(tenant, id, viewer)
        if record.damaged is not None:
            raise InvalidCard(f"This character's file is damaged. {record.damaged}", character_id=id)
        return record

    def _editable(self, tenant: str, id: str, viewer: Viewer) -> CharacterRecord:
        record = self._seen(tenant, id, viewer)
        if not record.editable_by(viewer):
            raise Forbidden("This character belongs to somebody else: make a copy to change it.", character_id=id)
        return record

    def _list(self, tenant: str, viewer: Viewer) -> Records:
        return [record for record in self._shelf(tenant).records() if record.visible_to(viewer)]

    def _update(
        self, tenant: str, id: str, changes: CharacterFields, viewer: Viewer, if_match: str | None
    ) -> CharacterRecord:
        shelf = self._shelf(tenant)
        with shelf.lock:
            record = self._editable(tenant, id, viewer)
            self._get(tenant, id, viewer)
            if not matches(if_match, record.etag):
                raise Conflict("This character was changed meanwhile: load it again, then save.", etag=record.etag)
            sharing = record.shared if changes.sharing is None else changes.sharing
            return shelf.save(record, record.card.edited(changes.fields()), sharing)

    def _delete(self, tenant: str, id: str, viewer: Viewer) -> None:
        shelf = self._shelf(tenant)
        with shelf.lock:
            shelf.remove(self._editable(tenant, id, viewer))

    def _duplicate(self, tenant: str, id: str, viewer: Viewer) -> CharacterRecord:
        shelf = self._shelf(tenant)
        with shelf.lock:
            record = self._get(tenant, id, viewer)
            return shelf.add(record.card, shelf.portrait(record), viewer.user, False)

    def _import(self, tenant: str, data: bytes, owner: str | None, shared: bool) -> CharacterRecord:
        shelf = self._shelf(tenant)
        with self._decoding:
            read = read_card(data)
        record = shelf.add(read.card, read.portrait, owner, shared)
        return replace(record, notices=read.notices)

    def _export(self, tenant: str, id: str, viewer: Viewer, kind: Literal["json", "png"]) -> CardFile:
        record = self._get(tenant, id, viewer)
        portrait = self._shelf(tenant).portrait(record)
        with self._decoding:
            return write_card(record.card, portrait, kind, record.id)

    def _set_avatar(self, tenant: str, id: str, picture: bytes | None, viewer: Viewer) -> CharacterRecord:
        self._editable(tenant, id, viewer)
        with self._decoding:
            webp = pictures.portrait(picture) if picture is not None else None
        shelf = self._shelf(tenant)
        with shelf.lock:
            return shelf.set_portrait(self._editable(tenant, id, viewer), webp)

    def _avatar(self, tenant: str, id: str, viewer: Viewer) -> Portrait:
        record = self._seen(tenant, id, viewer)
        content = self._shelf(tenant).portrait(record)
        if record.avatar is None or content is None:
            raise NotFound("This character has no picture.", character_id=id)
        return Portrait(content, pictures.CONTENT_TYPE, record.avatar)

    def _owned(self, tenant: str, user: str) -> Records:
        check_slug(user, "user_id")
        return [record for record in self._shelf(tenant).records() if record.owner == user]

    def _delete_owned(self, tenant: str, user: str) -> int:
        shelf = self._shelf(tenant)
        with shelf.lock:
            records = self._owned(tenant, user)
            for record in records:
                shelf.remove(record)
        return len(records)


async def _in_thread(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """`work` off the event loop, its disk errors typed."""

    def run() -> R:
        with disk_errors():
            return work(*args, **kwargs)

    return await asyncio.to_thread(run)
