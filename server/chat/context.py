"""What a turn knows: three reads at once, then the prompt."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from server.catalog.lore import lore_for
from server.catalog.macros import expand
from server.chat import wording
from server.chat.beside import Beside, Wardrobe
from server.chat.budget import Budget
from server.chat.party import Party
from server.chat.prompt import LORE_SHARE, Prompt, PromptInput, build_prompt, check_message, message_room
from server.memory.messages import Message, Role, undeclined
from server.memory.recall import Found, Question
from server.memory.service import Memory
from server.memory.views import Pin, Summary
from server.routing.types import LanguageModel
from server.settings import Settings

LORE_MESSAGES = 6
"""How many recent messages a lorebook's keys are looked for in, unless the book says fewer."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was read for a turn: the answer to `message`, or more of the newest reply where that is None.

    `recent` oldest first, without what was declined: a model is not to take up what the content policy put aside.
    """

    message: str | None
    recent: Sequence[Message]
    summary: Summary | None
    found: Found
    pins: Sequence[Pin]
    lore: Sequence[str]
    now: datetime
    wardrobe: Wardrobe | None = None


class Context:
    """Puts prompts together from memory, card and settings."""

    def __init__(
        self,
        memory: Memory,
        model: LanguageModel,
        settings: Settings,
        clock: Callable[[], datetime],
        beside: Beside,
    ) -> None:
        self._memory = memory
        self._beside = beside
        self._model = model
        self._settings = settings
        self._clock = clock

    def budget(self, tier: str) -> Budget:
        """What a turn of this tier may cost with the model in use."""
        info = self._model.info
        return Budget.of(self._settings.plan(tier), info.context_tokens, bundled=info.bundled)

    def check(self, party: Party, text: str) -> None:
        """Refuses a message that could not be sent, before it is stored.

        Raises:
            TooLarge: it does not fit even alone.
        """
        room = message_room(party.sheet, party.fence, self._policy(party), self.budget(party.who.tier))
        check_message(party.fence.safe(text), room)

    def _policy(self, party: Party) -> str:
        """What stands above the card: the operator's words, and the rule on being honest about what answers."""
        policy = self._settings.operator_policy
        return wording.honest(policy, party.sheet) if self._settings.disclose_ai else policy

    async def read(
        self,
        party: Party,
        *,
        message: str | None,
        query: str,
        question: Question | None = None,
        before_seq: int | None = None,
    ) -> Known:
        """All that a prompt for `message` is made of, or for going on with the newest reply where that is None.

        Args:
            query: what memory is searched for; `question`: the same, where it is being embedded already.
            before_seq: the conversation counts up to this place, exclusive; None for all of it.

        Raises:
            StoreUnavailable: memory cannot be read.
        """
        scope, memory = party.scope, self._memory
        budget = self.budget(party.who.tier)
        now = self._clock()
        if question is None:
            asker = Role.ASSISTANT if message is None else Role.USER
            question = memory.ask(query, speakers=party.speakers, asker=asker)
        recent, summary, found, pins, wardrobe = await asyncio.gather(
            memory.recent(scope, max_tokens=budget.prompt, before_seq=before_seq),
            memory.summary(scope),
            memory.search(scope, question, before_seq=before_seq, now=now),
            memory.pins(scope),
            self._beside.wardrobe(scope),
        )
        recent = undeclined(recent)
        said = [one.text for one in recent[-LORE_MESSAGES:]] + ([message] if message else [])
        entries = lore_for(party.card, said, int(budget.prompt * LORE_SHARE))
        lore = [expand(entry.content, party.card.char, party.who.user_name) for entry in entries]
        return Known(message, recent, summary, found, pins, lore, now, wardrobe)

    def prompt(self, party: Party, known: Known) -> Prompt:
        """The prompt for a turn.

        Raises:
            TooLarge: the message does not fit.
        """
        found = known.found
        return build_prompt(
            PromptInput(
                sheet=party.sheet,
                fence=party.fence,
                policy=self._policy(party),
                pins=known.pins,
                summary=known.summary,
                recall=lambda tokens, until: found.within(tokens, until).spans,
                lore=known.lore,
                history=known.recent,
                message=known.message,
                now=known.now,
                block=self._settings.window_messages,
                wardrobe=known.wardrobe,
                frontend=party.frontend,
            ),
            self.budget(party.who.tier),
        )
