"""What a turn asks for, as the content gate reads it: everything in the prompt that somebody wrote by hand."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from server.catalog.macros import expand
from server.chat.context import Known
from server.chat.party import Party
from server.chat.pictures.asks import PictureAsk
from server.memory.messages import CHAT, Alternative, Message, Role
from server.policy.classifier import CONTEXT, Intent

BY_HAND = "user"
"""Who wrote a summary that a person has changed."""
SHORT_NAME = 24
"""Characters. A longer name can hold a sentence, and names are in every prompt."""
SOMEBODY = "you"
"""Stands for the person in the card's texts, so that they are read once and not once for each person."""
_CARD = ("system_prompt", "description", "personality", "scenario", "mes_example", "post_history_instructions")


def intent_of(party: Party, known: Known, asked: str) -> Intent:
    """The intent of a turn. `asked`: the message to answer, or the reply to go on with.

    What a person said before is read with it. What they wrote into the character, their pins, the summary or an edited
    message counts for the turn as well: none of it passed the gate when it was written. A reply that is to go on is not
    the person's word, and says nothing of the danger they may be in.
    """
    going_on = known.message is None
    before = [message for message in known.recent if message.role is Role.USER]
    return Intent(
        said=[] if going_on else [asked],
        before=[message.text for message in before],
        unread=[*([asked] if going_on else []), *_unread(known.recent)],
        standing=[text for text in _standing(party, known) if text.strip()],
        meanings=known.found.meanings(before[-CONTEXT:]),
    )


def _standing(party: Party, known: Known) -> list[str]:
    sheet, summary = party.sheet, known.summary
    return [
        *(name for name in (sheet.char, sheet.user, *_titles(known)) if len(name) > SHORT_NAME),
        *(expand(getattr(party.card, field), sheet.char, SOMEBODY) for field in _CARD),
        *known.lore,
        *(pin.text for pin in known.pins),
        *party.frontend.texts,
        summary.text if summary is not None and summary.by == BY_HAND else "",
        # replies that no model wrote: the card's greeting, what was imported
        *(one.text for one in known.recent if one.role is Role.ASSISTANT and _by_hand(one.said)),
    ]


def _titles(known: Known) -> tuple[str, ...]:
    return known.wardrobe.titles if known.wardrobe else ()


def _unread(recent: Sequence[Message]) -> Iterator[str]:
    """What somebody wrote without a turn: edits, what a client says was said elsewhere, and what is told of as having
    happened. What a picture was asked for with was read before it was painted, and is told by its reply having one."""
    for message, after in zip_longest(recent, recent[1:]):
        if PictureAsk.of(message.extra) is not None:
            told = after is None or after.said.picture is None
        else:
            told = bool(message.extra.keys() - {CHAT})
        if told or message.edited:
            yield message.text


def _by_hand(said: Alternative) -> bool:
    return said.model is None and said.notice is None
