"""What a turn knows: three reads at once, then the prompt."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from server.catalog.lore import lore_for
from server.catalog.macros import expand
from server.chat.budget import Budget
from server.chat.party import Party
from server.chat.prompt import LORE_SHARE, Prompt, PromptInput, build_prompt, check_message, message_room
from server.memory.messages import Role
from server.memory.recall import Question
from server.memory.service import Memory
from server.routing.types import LanguageModel
from server.settings import Settings

LORE_MESSAGES = 6
"""How many recent messages a lorebook's keys are looked for in, unless the book says fewer."""


class Context:
    """Puts prompts together from memory, card and settings."""

    def __init__(self, memory: Memory, model: LanguageModel, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._memory = memory
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
        room = message_room(party.sheet, party.fence, self._settings.operator_policy, self.budget(party.who.tier))
        check_message(party.fence.safe(text), room)

    async def prompt(
        self,
        party: Party,
        *,
        message: str | None,
        query: str,
        question: Question | None = None,
        before_seq: int | None = None,
    ) -> Prompt:
        """The prompt that answers `message`, or goes on with the newest reply where that is None.

        Args:
            query: what memory is searched for; `question`: the same, where it is being embedded already.
            before_seq: the conversation counts up to this place, exclusive; None for all of it.

        Raises:
            StoreUnavailable: memory cannot be read.
            TooLarge: the message does not fit.
        """
        scope, memory = party.scope, self._memory
        budget = self.budget(party.who.tier)
        now = self._clock()
        if question is None:
            asker = Role.ASSISTANT if message is None else Role.USER
            question = memory.ask(query, speakers=party.speakers, asker=asker)
        recent, summary, found, pins = await asyncio.gather(
            memory.recent(scope, max_tokens=budget.prompt, before_seq=before_seq),
            memory.summary(scope),
            memory.search(scope, question, before_seq=before_seq, now=now),
            memory.pins(scope),
        )
        said = [one.text for one in recent[-LORE_MESSAGES:]] + ([message] if message else [])
        lore = lore_for(party.card, said, int(budget.prompt * LORE_SHARE))
        return build_prompt(
            PromptInput(
                sheet=party.sheet,
                fence=party.fence,
                policy=self._settings.operator_policy,
                pins=pins,
                summary=summary,
                recall=lambda tokens, until: found.within(tokens, until).spans,
                lore=[expand(entry.content, party.card.char, party.who.user_name) for entry in lore],
                history=recent,
                message=message,
                now=now,
                block=self._settings.window_messages,
            ),
            budget,
        )
