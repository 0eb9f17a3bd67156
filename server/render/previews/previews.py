"""`Previews`: asking for pictures of characters that wear items, and looking at those there are."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import structlog

from server.catalog.items.model import Item
from server.catalog.looks.names import names_of, without_names
from server.catalog.records import Viewer
from server.errors import Declined, InvalidRequest, NotFound, RateLimited, TooManyWaiting, VestigeError
from server.policy.classifier import Intent
from server.policy.gate import ALLOWED, Asker, Decision, Gate
from server.render.jobs.jobs import Asked, Jobs, new_job_id
from server.render.jobs.types import Job, JobEvent, Line, Order
from server.render.previews.meters import PreviewMeters
from server.render.previews.purse import Purse
from server.render.previews.shelf import Shelf, Wanted, as_asked, of_job
from server.render.previews.subject import MAX_SCENE, Pair, Subject, Subjects, check_wearable
from server.render.previews.types import Person, Preview

__all__ = ["MOST_STATES", "Erased", "Previews", "wanted"]

MOST_STATES = 500
"""Items of a shop page that are looked at in one call."""
MOST_FOLLOWED = 32
"""Streams of one person at a time, at one server: each looks at the store once a second."""
_REMEMBERED = 4_096
_NO_PREVIEW = "There is no such preview."

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Erased:
    """How many private previews went, and the keys of all that hosts are told to forget."""

    previews: int
    keys: set[str]


class Previews:
    """Previews for people. Every method may raise `StoreUnavailable`."""

    def __init__(
        self, jobs: Jobs, subjects: Subjects, shelf: Shelf, purse: Purse, gate: Gate, meters: PreviewMeters
    ) -> None:
        self.jobs = jobs
        self.subjects = subjects
        self.shelf = shelf
        self.purse = purse
        self._gate = gate
        self._meters = meters
        self._allowed: set[tuple[str, tuple[str, ...]]] = set()
        self._following: Counter[tuple[str, str | None]] = Counter()
        self._asking: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def ask(
        self,
        person: Person,
        character: str,
        item: str | None = None,
        *,
        scene: str | None = None,
        variant: int = 0,
        line: Line = "user",
    ) -> Preview:
        """The picture, or the job that makes it.

        Args:
            item: what the character wears; None for the character alone.
            scene: the person's own words; such a picture is theirs alone.
            variant: another picture of the same, counted from 0.

        Raises:
            NotFound, NotVisual, InvalidRequest, HostUnavailable, GraphRejected: see `Subjects`.
            Declined: the content policy will not have it; nothing was spent.
            PolicyUnavailable: the words could not be read, so nothing is made of them.
            BudgetExceeded, GenerationDisabled: a new picture costs more than a ceiling leaves.
            TooManyWaiting: the person waits for as many as one may.
        """
        pair = await self.subjects.pair(person.tenant, character, item, Viewer(person.user, person.admin))
        words = _words(pair, scene)
        await self.judge(person, pair, words)
        subject = await self.subjects.subject(pair, person, scene=words, variant=variant)
        return await self.ask_for(subject, person, line)

    async def ask_for(self, subject: Subject, person: Person, line: Line) -> Preview:
        """The picture of a subject that was found and judged, or its job. Raises as `ask`."""
        there = await self.shelf.find(person.tenant, subject.key)
        if there is not None:
            self._meters.asked("hit")
            return await self.shelf.also(person.tenant, there, wanted(subject))
        asked = await self.jobs.join(person.tenant, subject.key, person.user, line)
        if asked.outcome == "none":
            order = await self.subjects.order(subject, person, urgent=line == "user")
            # one at a time in this process, so that many who ask at once put money aside once
            async with self._asking.setdefault((person.tenant, subject.key), asyncio.Lock()):
                asked = await self._asked(order, person, line)
        self._meters.asked("hit" if asked.job is None else asked.outcome)
        if asked.job is None:
            return await self._ready(subject)
        _log.info("preview_asked", job=asked.job.id, outcome=asked.outcome, line=line)
        if asked.job.is_over:  # so fast that it ended before it was looked at
            (preview,) = await self.shelf.states(person.tenant, [wanted(subject)])
            return preview
        return as_asked(of_job(asked.job), wanted(subject))

    async def _asked(self, order: Order, person: Person, line: Line) -> Asked:
        """The order's job; who makes it pays, who joins it does not."""
        asked = await self.jobs.join(order.tenant, order.key, order.user, line)
        if asked.outcome != "none":
            return asked
        id = new_job_id()
        await self.purse.reserve(person, id)
        try:
            asked = await self.jobs.ask(order, line=line, id=id, price=self.purse.price)
        except TooManyWaiting:
            await self._release(id)
            raise
        # without an answer the job may be there all the same: `settle_all` looks, and takes back what has none
        if asked.job is None or asked.job.id != id:
            await self._release(id)
        return asked

    async def get(self, person: Person, key: str) -> Preview:
        """A preview by its key.

        Raises:
            NotFound: there is none, or it is another's.
        """
        found = (await self.shelf.all(person.tenant, [key])).get(key)
        if found is None or found.state == "none" or not _may_see(person, found.owner):
            raise NotFound(_NO_PREVIEW, field="key")
        return found

    async def states(self, person: Person, keys: Sequence[str]) -> Mapping[str, Preview]:
        """Several by their keys, in one go; those that are not there, or another's, are left out."""
        found = await self.shelf.all(person.tenant, list(dict.fromkeys(keys)))
        return {key: one for key, one in found.items() if _may_see(person, one.owner)}

    async def of_character(self, person: Person, character: str, items: Sequence[Item]) -> list[Preview]:
        """How a character's pictures with these items stand, in one go. Items that cannot be seen are left out.

        Raises:
            NotFound: no such character for them, or it has no look.
            InvalidRequest: more items than are looked at in one call.
        """
        if len(items) > MOST_STATES:
            raise InvalidRequest(f"{MOST_STATES} items are looked at in one call: ask for a page of them.")
        pair = await self.subjects.pair(person.tenant, character, None, Viewer(person.user, person.admin))
        try:
            await self.judge(person, pair, None)
        except Declined:
            return []  # the look's own words are above their plan
        subjects = await self.row(person, pair, items)
        return await self.shelf.states(person.tenant, [wanted(subject) for subject in subjects])

    async def row(self, person: Person, pair: Pair, items: Sequence[Item]) -> list[Subject]:
        """The subjects of a character with each item that can be worn and rendered."""
        subjects: list[Subject] = []
        for item in items:
            try:
                check_wearable(item)
                dressed = Pair(pair.tenant, pair.character, item, pair.look, pair.lora)
                subjects.append(await self.subjects.subject(dressed, person))
            except InvalidRequest:
                continue
        return subjects

    async def job(self, person: Person, id: str) -> Job:
        """A job, for whoever may know of it. Raises `NotFound`."""
        job = await self.jobs.get(id)
        if job.tenant != person.tenant or not job.visible_to(person.user, admin=person.admin):
            raise NotFound("There is no such job, or it ended long ago.", field="job_id")
        return job

    async def follow(self, person: Person, id: str, after: str | None = None) -> AsyncIterator[JobEvent]:
        """What happens to a job, to its end. Raises `NotFound`."""
        await self.job(person, id)
        async for event in self.jobs.follow(id, after):
            yield event

    @contextmanager
    def following(self, person: Person) -> Iterator[None]:
        """Meanwhile somebody follows a job.

        Raises:
            RateLimited: they follow as many as one may.
        """
        who = person.tenant, person.user
        if self._following[who] >= MOST_FOLLOWED:
            raise RateLimited(f"You follow {MOST_FOLLOWED} renders already: end one of the streams.", retry_after=5)
        self._following[who] += 1
        try:
            yield
        finally:
            self._following[who] -= 1
            if not self._following[who]:
                del self._following[who]

    async def cancel(self, person: Person, id: str, *, anyway: bool = False) -> Job:
        """The person does not want it any more; others who do keep it, unless an admin ends it `anyway`.

        Raises:
            NotFound: no such job for them.
        """
        await self.job(person, id)
        return await self.jobs.cancel(id, person.user, anyway=anyway and person.admin)

    async def drop(self, tenant: str, keys: Sequence[str]) -> int:
        """Takes away what is one person's alone among these: the job cancelled, the picture deleted. How many."""
        gone = 0
        for key, preview in (await self.shelf.all(tenant, list(dict.fromkeys(keys)))).items():
            if preview.owner is None:
                continue
            if preview.job is not None and not preview.job.is_over:
                await self.jobs.cancel(preview.job.id, None, anyway=True)
            await self.shelf.remove(tenant, [key])
            gone += 1
        return gone

    async def erase(self, tenant: str, user: str) -> Erased:
        """Takes away everything that is one person's: their private previews and what they wait for."""
        keys = await self.jobs.erase(tenant, user)
        mine = [preview.key for preview in await self.shelf.owned(tenant, user)]
        await self.shelf.remove(tenant, mine)
        return Erased(len(mine), keys.union(mine))

    async def export(self, tenant: str, user: str) -> list[dict[str, Any]]:
        """A person's private previews, as JSON has them."""
        return [
            {"key": one.key, "character": one.character, "item": one.item, "picture": one.url, "created": one.created}
            for one in await self.shelf.owned(tenant, user)
        ]

    async def judge(self, person: Person, pair: Pair, scene: str | None) -> None:
        """Nobody's words become a picture that the plan of who sees it does not have: not the person's, not those of a
        private item, not the look's. Raises `Declined`, `PolicyUnavailable`."""
        item = pair.item
        standing = [pair.look.scene.prompt] if pair.look.scene.prompt else []
        if item is not None and item.owner is not None and item.prompt_hint:
            standing.append(item.prompt_hint)
        if scene is None and not standing:
            return
        decision = await self._decision(person, pair, scene, tuple(standing))
        if decision.kind is not None:
            self._meters.asked("declined")
            raise Declined(decision.text, kind=decision.kind, level=decision.level, plan=decision.plan)

    async def _decision(self, person: Person, pair: Pair, scene: str | None, standing: tuple[str, ...]) -> Decision:
        """The gate's. What it let through is remembered where nobody said anything: the policy stays while we run."""
        known = person.tier, standing
        if scene is None and known in self._allowed:
            return ALLOWED
        decision = await self._gate.judge(
            Intent(said=[] if scene is None else [scene], standing=standing),
            Asker(person.tier, None, pair.character.card.char, person.name),
        )
        if scene is None and decision.kind is None:
            if len(self._allowed) >= _REMEMBERED:
                self._allowed.clear()
            self._allowed.add(known)
        return decision

    async def _ready(self, subject: Subject) -> Preview:
        there = await self.shelf.find(subject.pair.tenant, subject.key)
        if there is None:  # made and thrown away between two looks
            raise NotFound(_NO_PREVIEW, field="key")
        return await self.shelf.also(subject.pair.tenant, there, wanted(subject))

    async def _release(self, id: str) -> None:
        try:
            await self.purse.release(id)
        except VestigeError as error:
            _log.warning("render_hold_left", job=id, reason=error.message)  # `settle_all` takes it back


def _words(pair: Pair, scene: str | None) -> str | None:
    """A person's words without the character's names, which pull the face away from the LoRA's.

    Raises:
        InvalidRequest: there is nothing in them, or too much.
    """
    if scene is None:
        return None
    if len(scene) > MAX_SCENE:
        raise InvalidRequest(f"The scene has more than {MAX_SCENE} characters.", field="scene")
    words = without_names(" ".join(scene.split()), names_of(pair.character.card))
    if not words:
        raise InvalidRequest("The scene says nothing but a name: say what is to be seen.", field="scene")
    return words


def _may_see(person: Person, owner: str | None) -> bool:
    return person.admin or owner is None or owner == person.user


def wanted(subject: Subject) -> Wanted:
    """What is asked about where a subject is."""
    return Wanted(subject.key, subject.pair.character.id, subject.item, subject.owner, subject.made_with)
