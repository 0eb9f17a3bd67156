"""Asking one host to forget: all of it where our pack takes our token, its history and memory anywhere.

ComfyUI itself deletes no files. Without the pack an upload and a saved picture stay until a person deletes them; what
the server has such hosts render is temporary there, and goes when ComfyUI is restarted.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from server.render.forgetting.things import Things
from server.render.host import ComfyHost
from server.render.types import PictureRef

__all__ = ["Answer", "ask"]

SOON_SECONDS = 2.0
DISK_SECONDS = 60.0
PERSON_SECONDS = 600.0
"""When it is tried again: what still runs, what the disk does not let go of, what a person has to do."""


@dataclass(slots=True)
class Answer:
    """What is `kept` there, as in the list; for how many seconds it is left alone, and what stands in the way, in a
    sentence ('' where nothing does but time)."""

    kept: dict[str, tuple[float, str]] = field(default_factory=dict)

    def keep(self, thing: str, seconds: float, why: str) -> None:
        self.kept[thing] = (seconds, why)


async def ask(host: ComfyHost, things: Things, *, spared: str | None) -> Answer:
    """Has the host forget them. Asking again does no harm.

    Args:
        spared: a prompt id whose history entry stays where our pack is not; by it a restart is noticed.

    Raises:
        HostUnavailable, RenderError: nobody knows how much it has forgotten.
    """
    answer = Answer()
    kept = await host.pack.forget(list(things.renders.values()), list(things.references.values()), memory=things.memory)
    if kept is None:
        await _without_pack(host, things, answer, spared)
        return answer
    names = {name: text for text, (name, _) in things.renders.items()}
    names |= {name: text for text, name in things.references.items()}
    running = [name for name, (code, _) in kept.items() if code == "still_running"]
    for name, (code, why) in kept.items():
        soon = code == "still_running"
        answer.keep(names[name], SOON_SECONDS if soon else DISK_SECONDS, "" if soon else f"{host}: {why}")
    await _stop(host, running)
    return answer


async def _without_pack(host: ComfyHost, things: Things, answer: Answer, spared: str | None) -> None:
    if things.renders:
        queue = await host.queue()
        running = {text: one for text, (one, _) in things.renders.items() if queue.place(one) is not None}
        await _stop(host, running.values())
        for text in running:
            answer.keep(text, SOON_SECONDS, "")
        last = {text for text, (one, _) in things.renders.items() if one == spared}
        for text in last:
            answer.keep(text, DISK_SECONDS, "")  # until the next one
        ended = things.renders.keys() - running.keys() - last
        await host.forget([things.renders[text][0] for text in ended])
    for text, sha256 in things.references.items():
        if await host.holds(f"vestige/{sha256}.png"):
            why = f"{host} has no Vestige pack that may delete files: delete input/vestige/{sha256}.png there by hand."
            answer.keep(text, PERSON_SECONDS, why)
    for text, (key, picture) in things.files.items():
        if await host.shows(picture):
            why = _by_hand(host, picture)
            answer.keep(text, PERSON_SECONDS, why)
            for one, (_, made) in things.renders.items():
                if made == key:  # with it, a pack that comes to be there finds the picture
                    answer.keep(one, PERSON_SECONDS, why)
    if things.memory:
        await host.free()


async def _stop(host: ComfyHost, prompt_ids: Collection[str]) -> None:
    """Nobody wants these any more: what is to be forgotten is stored, given up or erased."""
    for prompt_id in prompt_ids:
        await host.cancel(prompt_id)


def _by_hand(host: ComfyHost, picture: PictureRef) -> str:
    name = "/".join(filter(None, (picture.type, picture.subfolder, picture.filename)))
    if picture.type == "temp":
        return f"{host} has no Vestige pack that may delete files: {name} goes when ComfyUI is restarted there."
    return f"{host} has no Vestige pack that may delete files: delete {name} there by hand."
