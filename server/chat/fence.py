"""Text that others wrote, set apart so that a model can tell material from instructions.

Material stands between `<name-key>` and `</name-key>`. The key belongs to one conversation and stays the same in it, so
that a provider's prompt cache holds. Nothing depends on the key being secret: it is taken out of every text that goes
inside, and so is whatever looks like such a tag or like a chat template's control token (a local server's tokenizer
would take `<|im_start|>system` in a message for the real thing).
"""

import hashlib
import re

from server.ids import Scope

_BLANK = r"[\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]*"
_LESS = r"[<‹＜﹤]"
_TAG_NAMES = r"(?:character|notes|memory|lore|app)"

# A bracket that opens one of our tags, however it is spaced or disguised.
_TAG = re.compile(rf"{_LESS}(?={_BLANK}[/／]?{_BLANK}{_TAG_NAMES}{_BLANK}-)", re.IGNORECASE)

# Control tokens of the chat templates in use: ChatML, Llama 2/3/4, Mistral, Gemma, Phi, DeepSeek, Command.
_CONTROL = re.compile(
    r"<(?=[|｜][^<>\n]{1,40}[|｜]>)"
    r"|<(?=/?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn)>)"
    r"|<(?=</?SYS>>)|(?<=<)<(?=/?SYS>>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])",
    re.IGNORECASE,
)
_HARMLESS = {"<": "‹", "[": "⁅"}
_GONE = "…"


class Fence:
    """The tags of one conversation."""

    def __init__(self, scope: Scope) -> None:
        self.key = hashlib.sha256(f"fence {scope}".encode()).hexdigest()[:8]
        self._key = re.compile(self.key, re.IGNORECASE)

    def safe(self, text: str) -> str:
        """`text` as it may stand in a prompt: it can neither open nor close a fence, nor end a message."""
        if "<" in text or "[" in text:
            text = _CONTROL.sub(lambda found: _HARMLESS[found[0]], text)
        text = _TAG.sub("(", text)
        return self._key.sub(_GONE, text)

    def wrap(self, name: str, inside: str) -> str:
        """A fenced block. `inside` is put together from `safe` texts by the caller."""
        return f"<{name}-{self.key}>\n{inside}\n</{name}-{self.key}>"

    def tag(self, name: str) -> str:
        """How the rules refer to a block."""
        return f"<{name}-{self.key}>"


def indented(text: str) -> str:
    """The text's further lines moved in, so that none of them can pass for the next speaker's or for a date."""
    return re.sub(r"\r\n|[\n\r\v\f\x85\u2028\u2029]", "\n   ", text.strip())
