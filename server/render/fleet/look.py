"""One look at a host: how it does, which packs it has, and now and then what it has to offer."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from server.errors import RenderError
from server.render.fleet.presets import digests
from server.render.fleet.state import HostRecord, Seen
from server.render.fleet.types import Pack
from server.render.graphs.allowed import ALLOWED
from server.render.graphs.offer import Offer
from server.render.host import ComfyHost
from server.render.outfit import OUTFIT, OUTFIT_IPADAPTER_PLUS
from server.render.templates import read_template

__all__ = ["LOOK_TIMEOUT", "Look", "look_at", "read_offer"]

LOOK_TIMEOUT = 5.0
"""Seconds that a healthy host needs at most to say how it does."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OPTIONS: Final = ("min", "max", "options")
_ROUTES_UNKNOWN: Final = "has a pack of another time: bring it up to date there, or its files are known by name alone"


@dataclass(frozen=True, slots=True)
class Look:
    """`offer` as text for the others to read, None where it was not asked for. `restarted`: since the last look."""

    seen: Seen
    offer: str | None = None
    restarted: bool = False


async def look_at(host: ComfyHost, record: HostRecord, claims: int, *, offer: bool) -> Look:
    """Never raises: a host that does not answer, or not as a ComfyUI does, is what was seen.

    Args:
        record: what was known of it.
        claims: how many renders there are ours, as far as we know.
        offer: also ask what it has to offer.
    """
    try:
        return await _look(host, record, claims, offer)
    except RenderError as error:
        why = error.message
    except (AttributeError, KeyError, TypeError, ValueError):  # the right JSON in the wrong shape
        why = f"{host} does not answer as a ComfyUI with our pack does: is the address right?"
    known = record.seen or Seen(False)
    return Look(Seen(False, why, known.version, known.pack, offer=known.offer, process=known.process))


async def _look(host: ComfyHost, record: HostRecord, claims: int, offer: bool) -> Look:
    stats = await host.stats(seconds=LOOK_TIMEOUT)
    queue = await host.queue(seconds=LOOK_TIMEOUT)
    known = record.seen or Seen(False)
    opened, process, problem = await _pack(host)
    restarted = await _restarted(host, record, process)
    there = len(queue.running) + len(queue.waiting)
    text, digest, pack, problems = None, known.offer, known.pack, known.problems
    if offer or restarted or digest is None or opened != known.opened:
        nodes = {kind: _inputs(told) for kind, told in (await host.describe(ALLOWED)).items() if kind in ALLOWED}
        pack = _pack_of(nodes)
        files, told = await _files(host) if opened else (_Files(), None)
        presets = await _presets(host) if opened else {}
        found = {"nodes": nodes, "hashes": files.hashes, "families": files.families, "presets": presets}
        text = json.dumps(found, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        problems = tuple(one for one in (problem if pack == "vestige" else None, told) if one)
    system = stats.get("system")
    seen = Seen(
        healthy=True,
        version=_text(system, "comfyui_version"),
        pack=pack,
        opened=opened,
        devices=tuple(_devices(stats.get("devices"))),
        queue=min(there, claims),
        strangers=max(0, there - claims),
        process=process,
        offer=digest,
        problems=problems,
    )
    return Look(seen, text, restarted)


def _inputs(described: Any) -> dict[str, Any]:
    """What `Offer` and `check` read of a node class, and nothing that is not as they expect it."""
    groups = described.get("input") if isinstance(described, Mapping) else None
    kept: dict[str, Any] = {"required": {}, "optional": {}}
    for group, inputs in kept.items():
        told = groups.get(group) if isinstance(groups, Mapping) else None
        for name, entry in told.items() if isinstance(told, Mapping) else ():
            if isinstance(entry, list) and entry:
                options = entry[1] if len(entry) > 1 and isinstance(entry[1], Mapping) else {}
                inputs[name] = [entry[0], {key: options[key] for key in _OPTIONS if key in options}]
    return {"input": kept}


def read_offer(host: str, found: Mapping[str, Any]) -> Offer:
    """An offer from what `look_at` wrote."""
    hashes = {(folder, name): sha256 for folder, name, sha256 in found["hashes"]}
    return Offer(host, found["nodes"], hashes, found.get("families", {}), found.get("presets", {}))


_OLDER = "Its pack is older than this server and deletes no pictures: update it, then restart ComfyUI."


async def _pack(host: ComfyHost) -> tuple[bool, str | None, str | None]:
    """Whether our pack takes our token, which process it runs in, and what is wrong with it."""
    try:
        listing = await host.pack.listing()
    except RenderError as error:
        if "host_code" not in error.details:
            raise
        return False, None, f"Its pack does not let us in: {error.message}"
    if listing is None:
        return False, None, None
    process = listing.get("process")
    older = None if "/vestige/forget" in (listing.get("routes") or ()) else _OLDER
    return True, process if isinstance(process, str) else None, older


async def _restarted(host: ComfyHost, record: HostRecord, process: str | None) -> bool:
    """Whether it was started anew: its pack says so; a host without it has forgotten the last render of ours."""
    before = record.seen.process if record.seen else None
    if process is not None and before is not None:
        return process != before
    return record.last is not None and process is None and await host.finished(record.last) is None


@dataclass(frozen=True, slots=True)
class _Files:
    """What the pack tells of model files: `(folder, name, sha256)`, and what checkpoints descend from."""

    hashes: list[tuple[str, str, str | None]] = field(default_factory=list)
    families: dict[str, str] = field(default_factory=dict)


async def _files(host: ComfyHost) -> tuple[_Files, str | None]:
    """Its model files, and what is wrong where its pack does not tell all of them."""
    try:
        found = await host.pack.models()
    except RenderError as error:
        if error.status == 503:
            raise
        return _Files(), f"It {_ROUTES_UNKNOWN}."
    files = _Files()
    for folder, listed in found["models"].items():
        for one in listed:
            name, sha256, family = str(one["file"]), one.get("sha256"), one.get("family")
            files.hashes.append((str(folder), name, sha256 if _is_sha256(sha256) else None))
            if folder == "checkpoints" and isinstance(family, str):
                files.families[name.replace("\\", "/")] = family
    left = sum(sha256 is None for _, _, sha256 in files.hashes)
    return files, f"{left} of its files are still being hashed, and known by name until then." if left else None


async def _presets(host: ComfyHost) -> dict[str, str]:
    """The digests of its presets; none where its pack does not tell them."""
    try:
        return digests(await host.pack.presets())
    except RenderError as error:
        if error.status == 503:
            raise
        return {}


def _pack_of(nodes: Mapping[str, Any]) -> Pack:
    for name, pack in ((OUTFIT, "vestige"), (OUTFIT_IPADAPTER_PLUS, "ipadapter_plus")):
        if all(node["class_type"] in nodes for node in read_template(name).nodes.values()):
            return "vestige" if pack == "vestige" else "ipadapter_plus"
    return "none"


def _devices(told: object) -> list[str]:
    devices = [one for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []
    return [f"{one.get('name', 'unknown')}, {int(one.get('vram_total') or 0) >> 20} MB" for one in devices]


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _text(of: object, name: str) -> str | None:
    value = of.get(name) if isinstance(of, Mapping) else None
    return value if isinstance(value, str) else None
