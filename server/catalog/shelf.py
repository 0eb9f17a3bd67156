"""One tenant's characters on disk.

    <characters>/<tenant>/
      halina/card.json       the card (v3), with its ownership in data.extensions.vestige
      halina/avatar.webp     the portrait, where there is one
      anything.png           a card file that somebody put here: it is taken in at the next look, and moves to
      anything/source.png    … its character's folder
      .deleted/<hash>        an id that was in use: it never comes back, for memories may still go by it

A folder that a person gave a name that is no id (`Iris & Co`) is renamed to one. A character appears, changes and
disappears by one rename each, so a crash leaves it whole or absent.
"""

import hashlib
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from server.catalog import files, strict_json
from server.catalog.cards import OURS, Card
from server.catalog.limits import CARD_BYTES, FILE_BYTES, STORED_BYTES
from server.catalog.reading import read_card
from server.catalog.records import CharacterRecord, Ownership
from server.catalog.shelf_lock import ShelfLock
from server.catalog.shipped import sample_cards
from server.catalog.slugs import free_id, is_slug
from server.errors import InvalidCard, InvalidRequest, NotFound, TooLarge
from server.ids import check_slug

log = structlog.get_logger(__name__)

CARD, AVATAR, SOURCE, DELETED = "card.json", "avatar.webp", "source", ".deleted"
_PART = ".part-"  # begins the names of folders half made and half removed
_CARD_FILES = frozenset({".json", ".png", ".charx"})

_Stamp = tuple[int, int, int] | None


class Shelf:
    """One tenant's folder. Methods block, may be called from any thread, and raise `OSError` when the disk does.

    `lock` may be held around several calls that belong together.
    """

    def __init__(self, folder: Path, tenant: str, clock: Callable[[], datetime]) -> None:
        self.lock = ShelfLock(folder.with_name(f".{folder.name}.lock"))
        self._folder = folder
        self._tenant = tenant
        self._clock = clock
        self._ready = False
        self._known: dict[str, tuple[tuple[_Stamp, _Stamp], CharacterRecord]] = {}
        self._refused: dict[str, _Stamp] = {}  # card files that could not be taken in, so that it is said once

    def records(self) -> list[CharacterRecord]:
        """Every character, by name. Card files that were put into the folder are taken in first."""
        with self.lock.here:
            self._open()
            for path in sorted(self._folder.iterdir()):
                if path.name.startswith("."):
                    continue
                if files.stamp(path / CARD) is not None:
                    self._name_properly(path)
                elif path.suffix.lower() in _CARD_FILES:
                    with self.lock:
                        self._take_in(path)
            found = [record for path in self._folder.iterdir() if (record := self._load(path.name)) is not None]
            self._known = {record.id: self._known[record.id] for record in found}
            return sorted(found, key=lambda record: (record.card.name.casefold(), record.id))

    def record(self, id: str) -> CharacterRecord:
        """The character with this id.

        Raises:
            InvalidId: not an id.
            NotFound: there is none.
        """
        check_slug(id, "character_id")
        with self.lock.here:
            self._open()
            record = self._load(id)
        if record is None:
            raise NotFound("There is no such character.", character_id=id)
        return record

    def add(self, card: Card, portrait: bytes | None, owner: str | None, shared: bool) -> CharacterRecord:
        """A new character, with an id made from its name.

        Raises:
            TooLarge: the card is longer than 1 MB.
        """
        with self.lock:
            self._open()
            return self._add(card, portrait, owner, shared)

    def save(self, record: CharacterRecord, card: Card, shared: bool) -> CharacterRecord:
        """The character with another card in the place of its old one.

        Raises:
            TooLarge: the card is longer than 1 MB.
        """
        with self.lock:
            now = self._clock()
            card = card.with_data(modification_date=int(now.timestamp()))
            ownership = replace(record.ownership, shared=shared, modified=now)
            files.write_file(self._folder / record.id / CARD, _stored(card, ownership))
            return self.record(record.id)

    def portrait(self, record: CharacterRecord) -> bytes | None:
        """The character's portrait, WebP."""
        try:
            return files.read_file(self._folder / record.id / AVATAR, FILE_BYTES) if record.avatar else None
        except FileNotFoundError:
            return None

    def set_portrait(self, record: CharacterRecord, webp: bytes | None) -> CharacterRecord:
        """The character with another portrait, or with none."""
        path = self._folder / record.id / AVATAR
        with self.lock:
            if webp is not None:
                files.write_file(path, webp)
            else:
                path.unlink(missing_ok=True)
                files.sync_folder(path.parent)
            return self.record(record.id)

    def remove(self, record: CharacterRecord) -> None:
        """Removes the character with all its files. Its id is never given out again."""
        with self.lock:
            (self._folder / DELETED).mkdir(mode=files.PRIVATE_FOLDER, exist_ok=True)
            self._tombstone(record.id).touch(mode=files.PRIVATE_FILE)
            files.sync_folder(self._folder / DELETED)
            part = self._part()
            (self._folder / record.id).rename(part)
            files.sync_folder(self._folder)
            files.remove_folder(part)

    def _open(self) -> None:
        """Makes a new tenant's folder with the samples in it, and clears what a crash left."""
        if self._ready:
            return
        with self.lock:  # what another server is just making is no leftover
            self._make()
        self._ready = True

    def _make(self) -> None:
        if self._folder.is_dir():
            files.remove_leftovers(self._folder, _PART)
        else:
            part = self._folder.with_name(f"{_PART}{self._tenant}")
            if part.exists():
                files.remove_folder(part)
            part.mkdir(parents=True, mode=files.PRIVATE_FOLDER)
            for id, card in sample_cards():
                self._fill(part / id, card, None, None, True)
            files.sync_folder(part)
            part.rename(self._folder)
            files.sync_folder(self._folder.parent)

    def _add(self, card: Card, portrait: bytes | None, owner: str | None, shared: bool) -> CharacterRecord:
        part = self._part()
        try:
            self._fill(part, card, portrait, owner, shared)
            id = free_id(card.name, self._is_taken)
            part.rename(self._folder / id)
        except BaseException:
            if part.exists():
                with suppress(OSError):
                    files.remove_folder(part)
            raise
        files.sync_folder(self._folder)
        return self.record(id)

    def _fill(self, folder: Path, card: Card, portrait: bytes | None, owner: str | None, shared: bool) -> None:
        now = self._clock()
        if "creation_date" not in card.data:
            card = card.with_data(creation_date=int(now.timestamp()))
        data = _stored(card, Ownership(owner, shared, now, now))
        folder.mkdir(mode=files.PRIVATE_FOLDER)
        if portrait is not None:
            files.write_file(folder / AVATAR, portrait)
        files.write_file(folder / CARD, data)

    def _name_properly(self, folder: Path) -> None:
        """A character's folder that a person named as no id is gets an id made from that name."""
        if is_slug(folder.name) or folder.is_symlink():
            return
        try:
            with self.lock:
                id = free_id(folder.name, self._is_taken)
                folder.rename(self._folder / id)
        except OSError as error:
            log.warning("character_folder_refused", tenant=self._tenant, file=folder.name, reason=error.strerror)
            return
        log.info("character_folder_renamed", tenant=self._tenant, file=folder.name, character=id)

    def _take_in(self, path: Path) -> None:
        """Makes a character of a card file, shared and without an owner; the file moves into its folder."""
        stamp = files.stamp(path)
        if stamp is None or self._refused.get(path.name) == stamp:
            return
        try:
            read = read_card(files.read_file(path, FILE_BYTES))
            record = self._add(read.card, read.portrait, None, True)
            path.rename(self._folder / record.id / f"{SOURCE}{path.suffix.lower()}")
        except (InvalidCard, TooLarge, OSError) as error:
            self._refused[path.name] = stamp
            reason = error.message if isinstance(error, InvalidRequest) else str(error.strerror)
            log.warning("card_file_refused", tenant=self._tenant, file=path.name, reason=reason)
            return
        log.info("card_file_taken_in", tenant=self._tenant, file=path.name, character=record.id)

    def _load(self, id: str) -> CharacterRecord | None:
        """The character in the folder of this name; None where that is not a character's folder."""
        folder = self._folder / id
        if not is_slug(id) or folder.is_symlink():
            return None
        stamps = files.stamp(folder / CARD), files.stamp(folder / AVATAR)
        if stamps[0] is None:
            return None
        known = self._known.get(id)
        if known is None or known[0] != stamps:
            known = stamps, self._read(id, datetime.fromtimestamp(stamps[0][2] / 1e9, UTC))
            self._known[id] = known
        return known[1]

    def _read(self, id: str, file_time: datetime) -> CharacterRecord:
        folder = self._folder / id
        hashed = hashlib.sha256()
        try:
            data = files.read_file(folder / CARD, STORED_BYTES)
            hashed.update(data)
            document = strict_json.parse_object(data, max_bytes=STORED_BYTES)
            card, ownership, damaged = Card.read(document), Ownership.read(document, file_time), None
        except (InvalidRequest, OSError) as error:
            damaged = error.message if isinstance(error, InvalidRequest) else "The card's file cannot be read."
            card, ownership = Card.new({"name": id}), Ownership(None, False, file_time, file_time)
            log.warning("character_damaged", tenant=self._tenant, character=id, reason=damaged)
        avatar = self._avatar_version(folder)
        hashed.update(f"\0{avatar}".encode())
        return CharacterRecord(id, self._tenant, card, ownership, hashed.hexdigest()[:16], avatar, damaged)

    def _avatar_version(self, folder: Path) -> str | None:
        try:
            picture = files.read_file(folder / AVATAR, FILE_BYTES)
        except OSError:
            return None
        return hashlib.sha256(picture).hexdigest()[:16]

    def _is_taken(self, id: str) -> bool:
        path = self._folder / id
        return path.is_symlink() or path.exists() or self._tombstone(id).exists()

    def _tombstone(self, id: str) -> Path:
        # A hash, because the id is made of a name, and after "delete everything" no name may be left.
        return self._folder / DELETED / hashlib.sha256(id.encode()).hexdigest()[:32]

    def _part(self) -> Path:
        return self._folder / f"{_PART}{secrets.token_hex(6)}"


def _stored(card: Card, ownership: Ownership) -> bytes:
    """The file of a card: indented, so that people can edit it, unless that would make it several times as long."""
    size = len(strict_json.compact(card.document))
    if size > CARD_BYTES:
        raise TooLarge(
            f"The character is too long: {size:,} bytes, where {CARD_BYTES:,} are allowed.", limit=CARD_BYTES
        )
    extensions = {**card.extensions, OURS: ownership.document()}
    document = {**card.document, "data": {**card.data, "extensions": extensions}}
    indented = strict_json.readable(document)
    return indented if len(indented) <= STORED_BYTES else strict_json.compact(document)
