"""What a turn knows: three reads at once, then the prompt."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from server.catalog.lore import lore_for
from server.catalog.macros import expand
from server.chat.budget import Budget
from server.chat.party import Party
from server.chat.prompt import LORE_SHARE, Edge, Prompt, PromptInput, build_prompt, check_message, message_room
from server.ids import Scope
from server.memory.messages import Role
from server.memory.service import Memory
from server.routing.types import LanguageModel
from server.settings import Settings

EDGES = 10_000
"""Conversations for which it is remembered where the last prompt's recent messages began."""
LORE_MESSAGES = 6
"""How many recent messages a lorebook's keys are looked for in, unless the book says fewer."""


class Context:
    """Puts prompts together from memory, card and settings."""

    def __init__(self, memory: Memory, model: LanguageModel, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._memory = memory
        self._model = model
        self._settings = settings
        self._clock = clock
        self._edges: OrderedDict[Scope, tuple[int, Edge]] = OrderedDict()  # with the epoch they belong to

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
        self, party: Party, *, message: str | None, query: str, epoch: int | None = None, before_seq: int | None = None
    ) -> Prompt:
        """The prompt that answers `message`, or goes on with the newest reply where that is None.

        Args:
            query: what memory is searched for.
            epoch, before_seq: the conversation counts up to this place, exclusive; None for all of it.

        Raises:
            StoreUnavailable: memory cannot be read.
            TooLarge: the message does not fit.
        """
        scope, memory = party.scope, self._memory
        budget = self.budget(party.who.tier)
        now = self._clock()
        until_seq, recall_tokens = self._recall_range(scope, epoch, before_seq, budget)
        recent, summary, recall, pins = await asyncio.gather(
            memory.recent(scope, max_tokens=budget.prompt, before_seq=before_seq),
            memory.summary(scope),
            memory.recall(
                scope,
                query,
                speakers=party.speakers,
                budget_tokens=recall_tokens,
                before_seq=until_seq,
                asker=Role.ASSISTANT if message is None else Role.USER,
                now=now,
            ),
            memory.pins(scope),
        )
        said = [one.text for one in recent[-LORE_MESSAGES:]] + ([message] if message else [])
        lore = lore_for(party.card, said, int(budget.prompt * LORE_SHARE))
        prompt = build_prompt(
            PromptInput(
                sheet=party.sheet,
                fence=party.fence,
                policy=self._settings.operator_policy,
                pins=pins,
                summary=summary,
                recalled=recall.spans,
                lore=[expand(entry.content, party.card.char, party.who.user_name) for entry in lore],
                history=recent,
                message=message,
                now=now,
                block=self._settings.window_messages,
            ),
            budget,
        )
        if epoch is not None and prompt.edge is not None:
            self._remember(scope, epoch, prompt.edge)
        return prompt

    def _recall_range(
        self, scope: Scope, epoch: int | None, before_seq: int | None, budget: Budget
    ) -> tuple[int | None, int]:
        """`(before_seq, budget_tokens)` for recall, so that enough is left of it without the recent messages.

        What recall brings back of the recent messages is taken out afterwards, because neither read waits for the
        other. Where the last prompt's recent messages began is where this one's will, or a block later; where that is
        not known, enough is asked for to make up for all of them.
        """
        if not budget.recall:
            return before_seq, 0
        known = self._edges.get(scope)
        if known is None or before_seq is None or known[0] != epoch:
            return before_seq, budget.recall + budget.prompt
        edge = known[1]
        until_seq = edge.seq + self._settings.window_messages
        if before_seq < until_seq:
            return before_seq, budget.recall + edge.tokens + budget.prompt // 2
        return until_seq, budget.recall + edge.tokens

    def _remember(self, scope: Scope, epoch: int, edge: Edge) -> None:
        known = self._edges.get(scope)
        if known is None or known[0] != epoch or known[1].seq <= edge.seq:  # an older reply made again is no step back
            self._edges[scope] = (epoch, edge)
        self._edges.move_to_end(scope)
        if len(self._edges) > EDGES:
            self._edges.popitem(last=False)
