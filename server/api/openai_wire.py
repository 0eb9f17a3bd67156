"""What OpenAI's chat completions look like on the wire (platform.openai.com/docs/api-reference/chat, 2026)."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.api.schemas import Mode
from server.errors import InvalidRequest, RateLimited, VestigeError

FINISHES = frozenset({"stop", "length", "content_filter"})
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    409: "invalid_request_error",
}


class ContentPart(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: str
    text: str | None = None


class CompletionMessage(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    name: str | None = None

    def plain(self) -> str:
        """The text of it.

        Raises:
            InvalidRequest: it has parts that are no text.
        """
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        for part in self.content:
            if part.type != "text":
                raise InvalidRequest(
                    f"Only text can be sent here, no part of the type '{part.type[:40]}'.", field="messages"
                )
        return "\n".join(part.text or "" for part in self.content)


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    include_usage: bool | None = None


class CompletionIn(BaseModel):
    """A chat completion. `model` is a character's id, `mode` the content mode. What is not named here is ignored."""

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: list[CompletionMessage] = Field(min_length=1, max_length=50_000)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    n: int | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    tool_choice: Any = None
    response_format: Any = None
    mode: Mode | None = None


class ModelOut(BaseModel):
    """A character as a model. `created` in seconds since 1970."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "vestige"
    name: str


class ModelsOut(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelOut]


class UsageOut(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ReplyMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    index: int = 0
    message: ReplyMessage
    logprobs: None = None
    finish_reason: str


class CompletionOut(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: UsageOut


class ChunkChoice(BaseModel):
    index: int = 0
    delta: dict[str, str]
    logprobs: None = None
    finish_reason: str | None = None


class ChunkOut(BaseModel):
    """A piece of a streamed completion. The last but `[DONE]` has no choices and the usage, where it was asked for."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: Sequence[ChunkChoice]
    usage: UsageOut | None = None


def error_body(error: VestigeError) -> dict[str, dict[str, object]]:
    """An error as OpenAI's clients read it, with our own `code` and `details`."""
    kind = "rate_limit_error" if isinstance(error, RateLimited) else _TYPES.get(error.status)
    if kind is None:
        kind = "server_error" if error.status >= 500 else "invalid_request_error"
    ours = error.payload()["error"]
    return {"error": {"message": error.message, "type": kind, "param": error.details.get("field"), **ours}}
