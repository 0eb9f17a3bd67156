"""A request's messages: what was said in them, and what the client says beside it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from server.chat.reconcile.align import Said
from server.errors import InvalidRequest
from server.memory.messages import Role
from server.text import clean_text, visible

SHOWN_MOST = 400
"""Messages of a client's history that are looked at, the newest. What is older was made out when it was new."""
_SCAFFOLD = frozenset({"[Start a new Chat]", "[Example Chat]"})  # SillyTavern's lines between its own sections


@dataclass(frozen=True, slots=True)
class Line:
    """A message of a request. `name`: the author as the client calls them."""

    role: str
    text: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """`said`, oldest first, at least one. `before`: the system messages ahead of them all; `after`: the others."""

    said: tuple[Said, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    ends_in_system: bool = False


def read_sent(lines: Iterable[Line], *, names: Sequence[tuple[Role, str]], limit: int) -> Sent:
    """The request's messages, cleaned; blank ones are left out.

    Args:
        names: who talks. Clients may write them before what was said, as `Anna: Hello`.
        limit: bytes a message may have that is to be stored. The last message must be within it.

    Raises:
        InvalidRequest: nobody says anything, or a text holds characters that are none.
        TooLarge: the person's new message is too long.
    """
    said: list[Said] = []
    before: list[str] = []
    after: list[str] = []
    ends_in_system = False
    for line in lines:
        if not visible(line.text):
            continue
        ends_in_system = line.role == "system"
        if line.role == "system":
            text = clean_text(line.text, limit=len(line.text) * 4, what="messages")
            if text.strip() not in _SCAFFOLD:
                (after if said else before).append(f"{line.name}: {text}" if line.name else text)
            continue
        role = Role(line.role)
        text = _bare(line.text, [name for whose, name in names if whose is role])
        said.append(Said(role, text, fits=len(text.encode("utf-8", "replace")) <= limit))
    if not said:
        raise InvalidRequest("One of the messages must be the user's or the assistant's.", field="messages")
    said = said[-SHOWN_MOST:]
    said = [Said(one.role, clean_text(one.text, limit=len(one.text) * 4, what="messages"), one.fits) for one in said]
    if not said[-1].fits:
        clean_text(said[-1].text, limit=limit, what="messages")
    return Sent(tuple(said), tuple(before), tuple(after), ends_in_system and bool(after))


def _bare(text: str, names: Sequence[str]) -> str:
    for name in names:
        if name and text.startswith(f"{name}: "):
            return text[len(name) + 2 :]
    return text
