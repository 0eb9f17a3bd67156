"""One streamed reply as it grows: which text to show, whether it ended, and whether it ended well."""

from typing import Literal

from server.errors import ModelRefused
from server.routing.types import Finished, Usage
from server.routing.wire import Chunk

# More than any tokenizer packs into a token: a server that sends more ignores `max_tokens`.
MAX_CHARACTERS_PER_TOKEN = 64

Refusal = Literal["content_filter", "refusal", "reasoning", "empty"]

_SENTENCES: dict[Refusal, str] = {
    "content_filter": (
        "The provider's content filter let nothing of the reply through. Rephrase the message, or choose another model."
    ),
    "refusal": "The model declined to answer. Rephrase the message, or choose another model.",
    "reasoning": (
        "The model spent its whole token budget on thinking and said nothing. Raise reply_tokens in the plan, "
        "or choose a model that thinks less."
    ),
    "empty": "The model sent an empty reply. Try again, or choose another model.",
}


class TooMuchText(Exception):
    """Far more text than the request allowed."""


class Reply:
    """Takes chunks in order and says what of them is visible."""

    def __init__(self, max_tokens: int) -> None:
        self.visible = False  # something a person can see came out
        self.reason: str | None = None
        self.usage: Usage | None = None
        self.model: str | None = None
        self._reasoned = False
        self._declined = False
        self._room = 1_024 + MAX_CHARACTERS_PER_TOKEN * max_tokens
        self._held = ""  # white space so far: shown with the first visible character, or never
        self._half = ""  # the first half of a character that the server cut in two

    def take(self, chunk: Chunk) -> str:
        """The text of `chunk` that is to be shown now; often all of it, sometimes none.

        Raises:
            TooMuchText: the server does not stop.
        """
        self.model = chunk.model or self.model
        self.usage = chunk.usage or self.usage
        self.reason = chunk.reason or self.reason
        self._reasoned = self._reasoned or chunk.reasoning
        self._declined = self._declined or chunk.refusal
        if not chunk.text:
            return ""
        text = self._whole(chunk.text)
        self._room -= len(text)
        if self._room < 0:
            raise TooMuchText
        if self.visible:
            return text
        self._held += text
        if not has_visible(text):
            return ""
        self.visible = True
        text, self._held = self._held, ""
        return text

    def _whole(self, text: str) -> str:
        """`text` as valid Unicode: halves of a surrogate pair are joined across chunks, or replaced."""
        if self._half or not text.isascii():
            text = self._half + text
            self._half = ""
            try:
                text.encode()
            except UnicodeEncodeError:
                if "\ud800" <= text[-1] <= "\udbff":
                    self._half, text = text[-1], text[:-1]
                text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return text.replace("\0", "")

    def finish(self, model: str) -> Finished:
        """The last event.

        Raises:
            ModelRefused: nothing visible came, whatever reason was given.
        """
        reason = self.reason or "stop"
        if self.visible:
            return Finished(model=self.model or model, reason=reason, usage=self.usage)
        details: dict[str, object] = {"model": model, "reason": reason, "refusal": self._refusal(reason)}
        if self.usage is not None:  # an empty reply is billed all the same
            details.update(completion_tokens=self.usage.completion_tokens, cost=self.usage.cost)
        raise ModelRefused(_SENTENCES[self._refusal(reason)], **details)

    def _refusal(self, reason: str) -> Refusal:
        """How it said nothing."""
        if reason == "content_filter":
            return "content_filter"
        if self._declined or reason == "refusal":
            return "refusal"
        return "reasoning" if reason == "length" and self._thought() else "empty"

    def _thought(self) -> bool:
        return self._reasoned or (self.usage is not None and self.usage.reasoning_tokens > 0)


def has_visible(text: str) -> bool:
    """Whether a person would see anything: not white space, controls or zero-width characters alone."""
    return any(character.isprintable() and not character.isspace() for character in text)
