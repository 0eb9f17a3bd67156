"""A reply to given messages alone: no character, no memory, nothing stored. For calls that are about a conversation."""

import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from server.chat.frontend import TOKEN_CHARACTERS
from server.chat.party import Who
from server.errors import TooLarge
from server.memory.tokens import weigh
from server.policy.classifier import Intent
from server.policy.gate import Asker, Gate
from server.routing.types import Finished, LanguageModel, ModelRequest, Payer, PromptMessage, Token
from server.settings import Settings

REPLACED = "content_filter"
"""The reason of a reply that is the content policy's own."""


class Aside:
    """Answers by the routing policy, below the operator's policy, behind the content gate."""

    def __init__(self, model: LanguageModel, gate: Gate, settings: Settings) -> None:
        self._model = model
        self._gate = gate
        self._settings = settings

    async def answer(
        self,
        who: Who,
        messages: Sequence[PromptMessage],
        *,
        mode: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> AsyncGenerator[Token | Finished, None]:
        """The reply as it comes. The caller has counted the turn.

        Raises:
            TooLarge: the messages do not fit the person's plan.
            PolicyUnavailable, ModelError, BudgetExceeded: nothing is generated; `ModelError` also later.
        """
        plan = self._settings.plan(who.tier)
        policy = self._settings.operator_policy.strip()
        asked = [*([PromptMessage("system", policy)] if policy else []), *messages]
        room = plan.context_tokens - plan.reply_tokens
        characters = sum(len(one.content) for one in asked)
        weighed = characters <= room * TOKEN_CHARACTERS  # a megabyte takes its time
        tokens = round(sum(weigh(one.content) for one in asked)) if weighed else characters // TOKEN_CHARACTERS
        if tokens > room:
            raise TooLarge(
                f"The messages are too long: about {tokens:,} tokens, and the plan has room for {room:,}.",
                field="messages",
                limit=room,
            )
        decision = await self._gate.judge(intent_of_messages(messages), Asker(who.tier, mode, "", who.user_name))
        if not decision.generate:
            yield Token(decision.text)
            yield Finished("", REPLACED, None)
            return
        scope = who.scope
        request = ModelRequest(
            asked,
            tier=who.tier,
            mode=mode,
            max_tokens=min(plan.reply_tokens, max_tokens or plan.reply_tokens),
            temperature=temperature,
            session=hashlib.sha256(f"aside {scope.tenant} {scope.user}".encode()).hexdigest()[:32],
            payer=Payer(scope.tenant, scope.user, who.tier),
        )
        async with aclosing(self._model.stream(request)) as events:
            async for event in events:
                yield event


def intent_of_messages(messages: Sequence[PromptMessage]) -> Intent:
    """Everything is the client's, whatever role it gives it: nobody has read it before."""
    last = max((at for at, message in enumerate(messages) if message.role == "user"), default=len(messages) - 1)
    others = [message for at, message in enumerate(messages) if at != last]
    return Intent(
        said=[messages[last].content],
        before=[message.content for message in messages[:last] if message.role == "user"],
        unread=[message.content for message in others if message.role != "system"],
        standing=[message.content for message in others if message.role == "system"],
    )
