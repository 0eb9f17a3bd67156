"""Counting what torch does, and how much memory a process holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

LINEAR = ("aten.addmm", "aten.mm", "aten.linear", "aten.bmm", "aten.baddbmm")
SYNC = ("aten._local_scalar_dense", "aten.item", "aten.is_nonzero", "aten.nonzero")


class Counted(TorchDispatchMode):
    """Aten operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.by_name: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.by_name[str(func.overloadpacket)] += 1
        return func(*args, **(kwargs or {}))

    def of(self, names: tuple[str, ...]) -> int:
        return sum(self.by_name[name] for name in names)


def counted(work: Callable[[], Any]) -> Counted:
    with Counted() as found:
        work()
    return found


def seconds(work: Callable[[], Any], times: int = 1) -> float:
    """The median time of a call."""
    taken = []
    for _ in range(times):
        started = perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(perf_counter() - started)
    return median(taken)


def resident() -> int:
    """Bytes this process holds in memory now, of its own (not those of mapped files)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this kernel does not tell")


class Peak:
    """`bytes`: how far above its beginning this process' memory went inside."""

    def __enter__(self) -> Peak:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self._before = self._high()
        return self

    def __exit__(self, *error: object) -> None:
        self.bytes = max(0, self._high() - self._before)

    @staticmethod
    def _high() -> int:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("this kernel does not tell")
