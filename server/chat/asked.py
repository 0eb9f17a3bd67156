"""What a turn asks for, as the content gate reads it: everything in the prompt that somebody wrote by hand."""

from collections.abc import Sequence

from server.chat.context import Known
from server.chat.party import Party
from server.memory.messages import Message, Role
from server.policy.classifier import Intent

BY_HAND = "user"
"""Who wrote a summary that a person has changed."""


def intent_of(party: Party, known: Known, asked: str) -> Intent:
    """The intent of a turn. `asked`: the message to answer, or the reply to go on with.

    What a person said before is read with it. What they wrote into the character, their pins, the summary or an edited
    message holds for the turn as well: none of it passed the gate when it was written.
    """
    sheet, recent = party.sheet, known.recent
    card = (
        sheet.system_prompt,
        sheet.description,
        sheet.personality,
        sheet.scenario,
        sheet.mes_example,
        sheet.post_history_instructions,
    )
    standing = [
        *card,
        *known.lore,
        *(pin.text for pin in known.pins),
        *(message.text for message in recent if message.edited),
    ]
    if known.summary is not None and known.summary.by == BY_HAND:
        standing.append(known.summary.text)
    return Intent([asked], _theirs(recent), [text for text in standing if text.strip()])


def _theirs(recent: Sequence[Message]) -> list[str]:
    return [message.text for message in recent if message.role is Role.USER]
