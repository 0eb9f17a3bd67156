"""What a render that ended says about its host: what it takes there, what is loaded, and whether it is well."""

import re
from collections.abc import Mapping
from typing import Final

import structlog

from server.errors import GraphRejected, HostOutOfMemory, HostUnavailable, RenderError, VestigeError
from server.render.fleet.meters import FleetMeters
from server.render.fleet.state import FleetState
from server.render.fleet.types import Claim, Verdict
from server.render.host import ComfyHost

__all__ = ["Outcomes"]

STUMBLES = 3
"""Renders that fail at a host one after another before it counts as ill."""
_WEIGHT: Final = 0.3
"""How much a new measurement moves what is known."""
_BROKEN = re.compile(
    r"cuda error|hip error|device-side assert|illegal memory access|cudnn_status|cublas_status|no space left on device|"
    r"device not (?:ready|found)|driver shutting down",
    re.IGNORECASE,
)
"""What a host says whose GPU or disk needs a person."""

_log = structlog.get_logger("vestige.fleet")


class Outcomes:
    """Notes them for all workers."""

    def __init__(self, state: FleetState, hosts: Mapping[str, ComfyHost], meters: FleetMeters) -> None:
        self._state = state
        self._hosts = hosts
        self._meters = meters

    async def released(
        self, claim: Claim, seconds: float | None, prompt_id: str | None, error: VestigeError | None
    ) -> Verdict:
        """Gives the place back; what to do where it failed."""
        if error is not None:
            return await self._failed(claim, error)
        if prompt_id is None:
            await self._state.release(claim.slot, claim.host)
            return Verdict(again=True)
        if seconds is not None:
            self._meters.rendered(claim.host, seconds, cold=claim.swap > 0)
        await self._state.release(claim.slot, claim.host, await self._learned(claim, seconds, prompt_id))
        return Verdict(again=False)

    async def _learned(self, claim: Claim, seconds: float | None, prompt_id: str) -> dict[str, str]:
        """A success takes back what was held against the host. What a render takes is learned apart for warm models
        and for another checkpoint; another LoRA alone tells too little."""
        record = (await self._state.snapshot([claim.host])).hosts[claim.host]
        fields = {"failures": "", "stumbles": "", "bench_until": "", "bench_why": "", "last": prompt_id}
        if seconds is None:
            return fields
        if claim.swap == 0:
            fields["warm_ms"] = _moved(record.warm_ms, seconds * 1000)
        elif claim.swap >= 1:
            fields["cold_ms"] = _moved(record.cold_ms, seconds * 1000)
        return fields

    async def _failed(self, claim: Claim, error: VestigeError) -> Verdict:
        """Only what is the host's doing counts against it."""
        host = claim.host
        match error:
            case HostOutOfMemory():
                why, verdict = "out_of_memory", Verdict(again=True, elsewhere=True, times=1)
                await self._free(host)
                await self._state.release(claim.slot, host, {"tail": "[]"})
            case HostUnavailable() if error.details.get("lost"):
                why, verdict = "lost", Verdict(again=True)
                await self._state.release(claim.slot, host, {"tail": "[]"})
            case HostUnavailable():
                why, verdict = "unavailable", Verdict(again=True, elsewhere=True)
                await self._state.release(claim.slot, host)
                await self._bench(host, error.message)
            case GraphRejected():
                why, verdict = "rejected", Verdict(again=True, elsewhere=True, times=1)
                await self._state.release(claim.slot, host)
            case RenderError() if error.details.get("interrupted"):
                why, verdict = "interrupted", Verdict(again=True, times=1)
                await self._state.release(claim.slot, host)
            case RenderError():
                why, verdict = "node", Verdict(again=True, elsewhere=True, times=1)
                await self._state.release(claim.slot, host, {"tail": "[]"})
                if _BROKEN.search(error.message) or await self._state.stumbled(host) >= STUMBLES:
                    await self._bench(host, error.message)
            case _:
                why, verdict = "other", Verdict(again=False)
                await self._state.release(claim.slot, host)
        self._meters.failed(host, why)
        _log.warning("render failed at a host", host=host, why=why)
        return verdict

    async def _bench(self, host: str, why: str) -> None:
        seconds = await self._state.bench(host, why)
        _log.warning("host rests", host=host, seconds=round(seconds, 1))

    async def _free(self, host: str) -> None:
        try:
            await self._hosts[host].free()
        except RenderError as error:
            _log.warning("memory was not freed", host=host, reason=error.message)


def _moved(before: float | None, measured: float) -> str:
    value = measured if before is None else before + _WEIGHT * (measured - before)
    return f"{value:.1f}"
