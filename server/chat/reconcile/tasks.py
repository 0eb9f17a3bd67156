"""Calls that are about a conversation and no part of it: a title, tags, a summary, a line in the person's name.

Such a call is answered from its own messages alone and leaves memory as it is. A client says so with a header
(`X-Vestige-Memory: off`); those in wide use are known by the shape of what they send:

* Open WebUI (titles, tags, follow-ups, search queries): one message of the person's that begins `### Task:` and quotes
  the chat between `<chat_history>` tags (its `routers/tasks.py` and default templates, 2026).
* SillyTavern: the chat, then a last system message that orders something else than the next reply: its summaries and
  picture prompts (`Ignore previous instructions…`, `[In the next response…`, `[Pause your roleplay…`), replies in the
  person's name (`[Write your next reply from the point of view of…`); raw summaries: a summary prompt alone and the
  chat as one message. In a group (`[Start a new group chat…`) others speak too, whose words are not this character's.
"""

from server.chat.reconcile.sent import Sent
from server.memory.messages import Role

_ORDERS = (
    "ignore previous instructions",
    "ignore the previous instructions",
    "[in the next response",
    "[pause your roleplay",
    "[write your next reply from the point of view of",
    "[write the next reply only as",
)
_GROUP = "[start a new group chat"
_CONTINUE = "[continue "


def is_task(sent: Sent) -> bool:
    """Whether a request is no turn of a conversation."""
    first, last = sent.said[0], sent.said[-1]
    if len(sent.said) == 1 and first.role is Role.USER and _open_webui(first.text):
        return True
    if any(_begins(text, _GROUP) for text in sent.before + sent.after):
        return True
    if len(sent.said) == 1 and not sent.after and any(_begins(text, *_ORDERS[:2]) for text in sent.before):
        return True
    order = sent.after[-1] if sent.ends_in_system else ""
    if _begins(order, *_ORDERS):
        return True
    # the last word was the character's, and then comes an order: only to go on with it is part of the conversation
    return bool(order) and last.role is Role.ASSISTANT and not continues(order, last.text)


def continues(order: str, last: str) -> bool:
    """Whether a system message at the end asks to go on with the last reply, as SillyTavern's nudge does."""
    return _begins(order, _CONTINUE) or (last.strip() != "" and last.strip() in order)


def _open_webui(text: str) -> bool:
    return text.lstrip().startswith("### Task:") and "<chat_history>" in text


def _begins(text: str, *beginnings: str) -> bool:
    return text.lstrip().lower().startswith(beginnings)
