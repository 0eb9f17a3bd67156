"""What turns are made of: a reply's place and how it stands, a greeting that is shown, keys of clients as hashes."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from server.chat.events import Accepted, Done
from server.chat.frontend import Frontend
from server.chat.live import Follower, LiveTurn
from server.chat.party import Party
from server.ids import Scope, parse_message_id
from server.memory.messages import Alternative, Message, Role, Status
from server.memory.views import Idempotency

GREETING_ID = "greeting"
"""The id of a greeting that is shown and not stored yet: the first turn stores it."""


@dataclass(frozen=True, slots=True)
class Within:
    """A turn in a client's own history: which of its chats, what it says beside, and the key it came with."""

    chat: str
    frontend: Frontend
    claim: Idempotency | None = None


def live_of(scope: Scope, reply: Message) -> LiveTurn:
    return LiveTurn(scope, parse_message_id(reply.id)[0], reply.seq)


def is_nothing(reply: Message) -> bool:
    """Whether a reply still has to be made: its first try failed, or its server died."""
    return all(
        one.status is Status.PENDING or (one.status is Status.FAILED and not one.text) for one in reply.alternatives
    )


def already_made(scope: Scope, reply: Message, user_id: str, accepted: Accepted) -> Follower:
    live = live_of(scope, reply)
    said = reply.said
    live.push(said.text)
    live.end(Done(reply, user_id, said.prompt_tokens or 0, said.completion_tokens or 0, replayed=True))
    return live.follow(accepted)


def greeting_shown(party: Party, at: datetime) -> Message | None:
    """The greeting as it would begin the conversation."""
    greeting = party.greeting()
    if greeting is None:
        return None
    return Message(
        id=GREETING_ID,
        seq=0,
        role=Role.ASSISTANT,
        created=at,
        alternatives=tuple(Alternative(text, at) for text in greeting.texts),
        chosen=greeting.chosen,
    )


def idempotency(key: str, body: object) -> Idempotency:
    """A client's key and what it asked, as hashes."""
    return Idempotency(_hash(key), _hash(body))


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
