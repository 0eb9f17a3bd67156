"""One reply, from the reads to the store. Runs in a task of its own, whoever follows."""

import asyncio
import time
import traceback
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import stamina
import structlog

from server.chat.asked import intent_of
from server.chat.context import Context, Known
from server.chat.events import Done, Failed
from server.chat.live import LiveTurn
from server.chat.party import Party
from server.chat.prompt import Prompt
from server.errors import Conflict, ModelRefused, StoreUnavailable, VestigeError
from server.memory.messages import Alternative, Message, Notice, Status
from server.memory.recall import Question
from server.memory.service import Memory
from server.memory.tokens import estimate_tokens
from server.metrics import Metrics
from server.policy.gate import Asker, Gate
from server.routing.types import Finished, LanguageModel, ModelRequest, Payer, Token

_log = structlog.get_logger(__name__)

GONE = "The conversation was reset or this message deleted meanwhile, so the reply was dropped."
UNSAVED = (
    "The reply could not be saved because the store does not answer. Your message is kept: ask for the reply again."
)
CUT_OFF = "The model's content filter cut the reply off. What came before is kept."
INTERNAL = "Something went wrong in the server; its log says more. Your message is kept."

Mode = Literal["fill", "add", "replace"]

_CLOSES = ".,;:!?…)]}»”’\"'*"


@dataclass(frozen=True, slots=True)
class Job:
    """A reply to be made.

    `fill` the place kept for it, `add` an alternative, or `replace` the chosen one by a longer text that begins with
    `before`. `message` is the user's text to answer, None where the reply goes on; what stands at `before_seq` and
    after it is not in the prompt as history.
    """

    party: Party
    live: LiveTurn
    mode: Mode
    message: str | None
    query: str
    before_seq: int
    user_id: str | None
    before: str = ""
    question: Question | None = None
    warming: "asyncio.Task[None] | None" = None  # the content gate reads the message already


@dataclass(slots=True)
class _Draft:
    """What is known of the reply so far. Times are of the monotonic clock, in seconds."""

    prompt: Prompt | None = None
    asked: float | None = None
    first: float | None = None
    finished: Finished | None = None
    error: VestigeError | None = None
    notice: Notice | None = None
    spoken: bool = False  # the reply is the content policy's, and no model was asked
    ended: float = field(default=0.0)


class Generator:
    """Turns jobs into stored replies."""

    def __init__(
        self,
        memory: Memory,
        model: LanguageModel,
        context: Context,
        gate: Gate,
        metrics: Metrics,
        *,
        clock: Callable[[], datetime],
        save_seconds: float,
    ) -> None:
        self._memory = memory
        self._model = model
        self._context = context
        self._gate = gate
        self._metrics = metrics
        self._clock = clock
        self._save_seconds = save_seconds

    async def run(self, job: Job) -> None:
        """Generates and stores; `job.live` is told how it ended. Raises nothing but cancellation."""
        draft = _Draft()
        work = asyncio.create_task(self._speak(job, draft), name="reply")
        job.live.on_stop(work.cancel)
        try:
            await asyncio.wait({work})
        finally:
            work.cancel()
        draft.ended = time.monotonic()
        draft.error = self._outcome(work, job.live)
        try:
            event = await self._keep(job, draft)
        except Exception as error:  # a bug must not leave those who follow without an end
            event = Failed(_broken(error), job.user_id, None)
        self._count(job, event)
        job.live.end(event)
        self._memory.settle(job.party.scope)

    async def _speak(self, job: Job, draft: _Draft) -> None:
        party = job.party
        known = await self._context.read(
            party, message=job.message, query=job.query, question=job.question, before_seq=job.before_seq
        )
        if await self._refused(job, draft, known):
            return
        draft.prompt = prompt = self._context.prompt(party, known)
        request = ModelRequest(
            messages=prompt.messages(),
            tier=party.who.tier,
            mode=party.mode,
            max_tokens=min(prompt.budget.reply, party.frontend.max_tokens or prompt.budget.reply),
            temperature=party.frontend.temperature,
            session=party.session,
            payer=Payer(party.scope.tenant, party.scope.user, party.who.tier),
        )
        draft.asked = time.monotonic()
        async with aclosing(self._model.stream(request)) as stream:
            async for event in stream:
                match event:
                    case Token(text):
                        if draft.first is None:
                            draft.first = time.monotonic()
                            text = _glue(job.before, text) + text
                        job.live.push(text)
                    case Finished():
                        draft.finished = event

    async def _refused(self, job: Job, draft: _Draft, known: Known) -> bool:
        """Whether the content policy has its own words in place of a reply. Nothing has been spent until here."""
        if job.warming is not None:
            await job.warming
        party = job.party
        asker = Asker(party.who.tier, party.mode, party.card.char, party.who.user_name)
        decision = await self._gate.judge(intent_of(party, known, job.query), asker)
        if decision.kind is None:
            return False
        beside = decision.text if decision.generate else None
        draft.notice = Notice(decision.kind, decision.level if decision.plan else None, decision.plan, beside)
        if decision.generate:
            return False
        draft.spoken = True
        job.live.push(decision.text)
        return True

    def _outcome(self, work: "asyncio.Task[None]", live: LiveTurn) -> VestigeError | None:
        """What kept the reply from being whole."""
        if work.cancelled():
            return live.stopped or Conflict("The reply was cancelled.")
        match work.exception():
            case None:
                return None
            case VestigeError() as error:
                return error
            case error:
                return _broken(error)

    async def _keep(self, job: Job, draft: _Draft) -> Done | Failed:
        """Stores what came and says how it went."""
        if draft.error is None and draft.finished is not None and draft.finished.reason == "content_filter":
            draft.error = ModelRefused(CUT_OFF)
        alternative = self._alternative(job, draft)
        # a continuation that is declined leaves the reply as it was, and stands beside it
        mode = "add" if draft.spoken and job.mode == "replace" else job.mode
        failed = alternative.status is Status.FAILED
        try:
            if failed and job.mode != "fill":
                reply = await self._memory.message(
                    job.party.scope, job.live.reply_id
                )  # nothing came: it stays as it was
            else:
                # A mark that nothing came is not worth waiting for: without it the place is pending, and can be filled.
                reply = await self._store(job, mode, alternative, 0.0 if failed else self._save_seconds)
        except StoreUnavailable as error:
            _log.warning("reply_unsaved", characters=len(alternative.text), reason=error.message)
            return Failed(draft.error or StoreUnavailable(UNSAVED, **error.details), job.user_id, None)
        except VestigeError as error:
            return Failed(draft.error or error, job.user_id, None)
        if reply is None:
            return Failed(job.live.stopped or Conflict(GONE), job.user_id, None)
        if draft.error is not None:
            return Failed(draft.error, job.user_id, reply)
        prompt = draft.prompt
        return Done(
            reply=reply,
            user_id=job.user_id,
            prompt_tokens=alternative.prompt_tokens or (prompt.tokens if prompt else 0),
            completion_tokens=alternative.completion_tokens or 0,
            recalled=prompt.spans if prompt else (),
            summary_used=prompt.summary_used if prompt else False,
            finish=draft.finished.reason if draft.finished else "stop",
        )

    async def _store(self, job: Job, mode: Mode, alternative: Alternative, seconds: float) -> Message | None:
        """The reply as stored; tries for `seconds`, so that a store that restarts meanwhile loses nothing."""
        live = job.live

        async def finish() -> Message | None:
            return await self._memory.finish_reply(live.scope, live.epoch, live.seq, alternative, mode=mode)

        if not seconds:
            return await finish()
        async for attempt in stamina.retry_context(
            on=StoreUnavailable, attempts=None, timeout=seconds, wait_initial=0.1, wait_max=2.0
        ):
            with attempt:
                return await finish()
        return None

    def _alternative(self, job: Job, draft: _Draft) -> Alternative:
        text = job.live.text
        if draft.spoken:
            return Alternative(text, self._clock(), notice=draft.notice)
        status = Status.COMPLETE if draft.error is None else Status.INTERRUPTED if text.strip() else Status.FAILED
        finished, prompt = draft.finished, draft.prompt
        usage = finished.usage if finished else None
        return Alternative(
            text=job.before + text if status is not Status.FAILED else "",
            created=self._clock(),
            status=status,
            model=finished.model if finished else self._model.info.name,
            prompt_tokens=usage.prompt_tokens if usage else prompt.tokens if prompt else None,
            completion_tokens=usage.completion_tokens if usage else estimate_tokens(text),
            first_token_ms=_ms(draft.asked, draft.first),
            total_ms=_ms(draft.asked, draft.ended),
            error=draft.error.code if draft.error else None,
            notice=draft.notice,
        )

    def _count(self, job: Job, event: Done | Failed) -> None:
        if isinstance(event, Done) and event.reply.declined:
            outcome = "declined"
        else:
            outcome = "complete" if isinstance(event, Done) else "interrupted" if job.live.text.strip() else "failed"
        self._metrics.turn(outcome)
        error = event.error.code if isinstance(event, Failed) else None
        _log.info("turn", outcome=outcome, kind=job.mode, tier=job.party.who.tier, error=error)


def _broken(error: BaseException) -> VestigeError:
    """What is told of a bug. The frames say where it is; the exception's own text may hold a person's words."""
    frames = [f"{one.filename}:{one.lineno} {one.name}" for one in traceback.extract_tb(error.__traceback__)[-12:]]
    _log.error("turn_broke", error=type(error).__name__, frames=frames)
    return VestigeError(INTERNAL)


def _ms(start: float | None, end: float | None) -> int | None:
    return None if start is None or end is None else round((end - start) * 1_000)


def _glue(before: str, text: str) -> str:
    """The space between a text and its continuation, where the model did not write one."""
    if not before or before[-1].isspace() or not text or text[0].isspace() or text[0] in _CLOSES:
        return ""
    return " "
