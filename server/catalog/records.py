"""A stored character: the card, whose it is, and who may see and change it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from server.catalog.cards import OURS, Card
from server.errors import InvalidId
from server.ids import check_slug


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks. `user` is None for a credential that belongs to nobody, such as a service's key.

    `keeper`: looks after the shop's items, and sees no more than others of what people own.
    """

    user: str | None
    admin: bool = False
    keeper: bool = False


@dataclass(frozen=True, slots=True)
class Ownership:
    """What is stored beside the card, in `data.extensions.vestige`. Without an owner, admins look after it."""

    owner: str | None
    shared: bool
    created: datetime
    modified: datetime

    def document(self) -> dict[str, Any]:
        return {
            "owner": self.owner,
            "shared": self.shared,
            "created": self.created.isoformat(),
            "modified": self.modified.isoformat(),
        }

    @classmethod
    def read(cls, card_document: dict[str, Any], file_time: datetime) -> "Ownership":
        """The ownership in a stored card; a file that a person put there has none, and is everyone's.

        `file_time` stands in for dates that are missing or unreadable.
        """
        data = card_document.get("data")
        extensions = data.get("extensions") if isinstance(data, dict) else None
        kept = extensions.get(OURS) if isinstance(extensions, dict) else None
        if not isinstance(kept, dict):
            return cls(None, True, file_time, file_time)
        owner, shared = kept.get("owner"), kept.get("shared")
        try:
            owner = check_slug(owner, "owner") if owner is not None else None
        except InvalidId:
            owner, shared = None, False  # a name nobody can have: only admins see it until it is put right
        return cls(
            owner=owner,
            shared=shared if isinstance(shared, bool) else owner is None,
            created=_time(kept.get("created"), file_time),
            modified=_time(kept.get("modified"), file_time),
        )


@dataclass(frozen=True, slots=True)
class CharacterRecord:
    """A character as stored.

    `etag` changes with every change of the card, its ownership or its picture; `avatar` is the picture's version, None
    without one. `damaged` says what is wrong with a file that cannot be read: such a record has an empty card named by
    its id, and only admins see it. `notices` are an import's remarks.
    """

    id: str
    tenant: str
    card: Card
    ownership: Ownership
    etag: str
    avatar: str | None = None
    damaged: str | None = None
    notices: tuple[str, ...] = ()

    @property
    def owner(self) -> str | None:
        return self.ownership.owner

    @property
    def shared(self) -> bool:
        return self.ownership.shared

    @property
    def created(self) -> datetime:
        return self.ownership.created

    @property
    def modified(self) -> datetime:
        return self.ownership.modified

    def mine(self, viewer: Viewer) -> bool:
        return viewer.user is not None and viewer.user == self.owner

    def visible_to(self, viewer: Viewer) -> bool:
        return viewer.admin or (self.damaged is None and (self.shared or self.mine(viewer)))

    def editable_by(self, viewer: Viewer) -> bool:
        return viewer.admin or self.mine(viewer)


def _time(value: object, otherwise: datetime) -> datetime:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else otherwise
    except ValueError:
        return otherwise
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
