"""What conversations and memory look like on the wire: bodies, queries and answers."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.api.picture_views import PictureOut

Ids = Annotated[list[str], Field(min_length=1, max_length=1_000)]
Mode = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9_-]+$")]
StatusName = Literal["pending", "complete", "interrupted", "failed"]


class Body(BaseModel):
    """A request's body. `user_id`: whose conversation, where the credential may say so."""

    model_config = ConfigDict(extra="forbid")

    user_id: str | None = None


class Query(BaseModel):
    """A query string. `user_id`: whose conversation, where the credential may say so."""

    model_config = ConfigDict(extra="forbid")

    user_id: str | None = None


# messages


class Upsell(BaseModel):
    """The content level that was asked for, and the plan that has it."""

    level: str
    plan: str


class NoticeOut(BaseModel):
    """What the content policy says of a reply. `declined`: it stands in for one that was asked for. `safety`: the
    person may be in danger, and `text` is for them, null where the reply itself says it.
    """

    kind: Literal["declined", "safety"]
    text: str | None = None


class AlternativeOut(BaseModel):
    """One version of a message. `html` is `text` as safe HTML; `total_ms` in milliseconds; `error` is a code. Where
    there is a `picture`, `text` is its caption.
    """

    text: str
    html: str
    created: datetime
    status: StatusName
    model: str | None
    completion_tokens: int | None
    total_ms: int | None
    error: str | None
    notice: NoticeOut | None = None
    upsell: Upsell | None = None
    picture: PictureOut | None = None


class MessageOut(BaseModel):
    """A message. The alternative at `chosen` is what was said; all that it has too is the message's.

    `asks` `picture`: it asks for one, and `…/pictures/{message_id}/again` makes the reply anew. `event`: it tells of
    something that happened and was not said.
    """

    id: str
    role: Literal["user", "assistant"]
    text: str
    html: str
    created: datetime
    status: StatusName
    edited: datetime | None
    chosen: int
    model: str | None
    alternatives: list[AlternativeOut]
    error: str | None
    notice: NoticeOut | None = None
    upsell: Upsell | None = None
    picture: PictureOut | None = None
    asks: Literal["picture"] | None = None
    event: Literal["gift"] | None = None


class RecalledTurn(BaseModel):
    """A turn that was recalled. `score` orders the turns of one answer and means nothing between two."""

    message_id: str
    role: Literal["user", "assistant"]
    speaker: str
    text: str
    created: datetime
    score: float


class SpanOut(BaseModel):
    """Adjacent turns that were recalled, oldest first."""

    start_id: str
    end_id: str
    start: datetime
    end: datetime
    turns: list[RecalledTurn]


class HistoryOut(BaseModel):
    """Messages, oldest first. `more`: there are older ones. `epoch` is 0 before the first message."""

    messages: list[MessageOut]
    more: bool
    epoch: int


class HistoryQuery(Query):
    before: str | None = Field(None, description="Messages older than this one; the newest where unset.")
    limit: int = Field(50, ge=1, le=200)


# turns


class ChatIn(Body):
    """A message to a character. `mode` is the content mode, where the operator has set some up."""

    character_id: str
    message: str
    mode: Mode | None = None


class ReplyIn(Body):
    """Which reply is meant: the last one where `message_id` is not given."""

    message_id: str | None = None
    mode: Mode | None = None


class AcceptedOut(BaseModel):
    """The message is stored. `message` is null where a reply is made for no new message."""

    message: MessageOut | None
    reply_id: str
    replayed: bool


class TokenOut(BaseModel):
    """The next piece of the reply."""

    text: str


class TurnIds(BaseModel):
    user: str | None
    reply: str


class TurnTokens(BaseModel):
    prompt: int
    completion: int


class TurnTimes(BaseModel):
    """Milliseconds since the model was asked."""

    first_token: int | None
    total: int | None


class DoneOut(BaseModel):
    """The reply is stored. `replayed`: it was already, by an earlier request with the same Idempotency-Key."""

    message: MessageOut
    message_ids: TurnIds
    model: str | None
    tokens: TurnTokens
    ms: TurnTimes
    recalled: list[SpanOut]
    summary_used: bool
    replayed: bool
    notice: NoticeOut | None = None
    upsell: Upsell | None = None


class TurnErrorDetail(BaseModel):
    code: str
    message: str
    details: dict[str, Any]


class TurnErrorOut(BaseModel):
    """The turn ended without a whole reply. `message`: what is stored of it."""

    error: TurnErrorDetail
    message: MessageOut | None


class SwipeIn(Body):
    message_id: str
    index: int


class EditIn(Body):
    text: str


class GreetingIn(Body):
    """Which of the character's greetings, counted from 0."""

    index: int


class DeletedOut(BaseModel):
    deleted: int


class ResetIn(Body):
    pass


class EpochOut(BaseModel):
    epoch: int


class ActiveIn(Body):
    character_id: str


class ActiveOut(BaseModel):
    character_id: str


class ActiveNowOut(BaseModel):
    """The active character; null where none was chosen yet."""

    character_id: str | None


class PromptQuery(Query):
    message: str = Field("", max_length=100_000, description="What the person would say.")


class PromptMessageOut(BaseModel):
    """`cacheable`: everything up to here repeats on the next turn. `why`: what the message holds, and what it lacks."""

    role: Literal["system", "user", "assistant"]
    content: str
    cacheable: bool
    why: str
    tokens: int


class PromptBudget(BaseModel):
    """Tokens: for the whole prompt, of it for recalled memory, and for the reply."""

    prompt: int
    recall: int
    reply: int


class PromptOut(BaseModel):
    messages: list[PromptMessageOut]
    tokens: int
    budget: PromptBudget


# memory


class RecentOut(BaseModel):
    messages: list[MessageOut]


class RecentQuery(Query):
    tokens: int = Field(4_000, ge=1, le=100_000, description="At most so many tokens of the newest messages.")


class SummaryOut(BaseModel):
    """The rolling picture; `text` is null before there is one. `windows`: of how many closed windows it was written."""

    text: str | None
    html: str | None
    updated: datetime | None
    windows: int
    by: Literal["model", "user"] | None


class SummaryIn(Body):
    text: str


class SearchQuery(Query):
    q: str = Field(min_length=1, max_length=4_000, description="What to look for.")
    tokens: int = Field(1_500, ge=1, le=100_000, description="At most so many tokens of what was said.")


class SearchOut(BaseModel):
    spans: list[SpanOut]
    tokens: int


class WindowsQuery(Query):
    before: int | None = Field(None, ge=0, description="Windows older than this index; the newest where unset.")
    limit: int = Field(20, ge=1, le=100)


class WindowMessage(BaseModel):
    id: str
    role: Literal["user", "assistant"]
    text: str
    created: datetime


class WindowOut(BaseModel):
    """A closed window of the conversation. `derived`: how its summary and facts stand."""

    id: str
    index: int
    start: datetime
    end: datetime
    start_id: str
    end_id: str
    messages: list[WindowMessage]
    summary: str | None
    facts: list[str]
    derived: Literal["none", "pending", "done", "refused"]


class WindowsOut(BaseModel):
    """Windows, newest first."""

    windows: list[WindowOut]
    more: bool
    total: int


class FactsIn(Body):
    facts: Annotated[list[str], Field(max_length=50)]


class PinOut(BaseModel):
    """A note that is in every prompt. `message_id`: the message it was made from."""

    id: str
    text: str
    created: datetime
    message_id: str | None


class PinsOut(BaseModel):
    pins: list[PinOut]


class PinIn(Body):
    """A note, or the message to make one from; with both, the note remembers its message."""

    text: str | None = None
    message_id: str | None = None


class PinEdit(Body):
    text: str


class ForgetIn(Body):
    message_ids: Ids


class ForgottenOut(BaseModel):
    forgotten: int


class DeleteQuery(Query):
    account: bool = Field(False, description="Delete the account, and the characters that are the person's own, too.")
