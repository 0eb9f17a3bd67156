"""Freed memory is overwritten, so that what was said does not reach the disk in someone else's file.

Chroma's vector index takes memory without clearing it and writes all of it to its files, parts that it never set
included: there one finds pieces of messages that some freed buffer held. They would outlive a deletion. glibc can
overwrite what is freed (`glibc.malloc.perturb`), small blocks only where its per-thread cache is off; both are decided
when a process starts, hence `restart_scrubbed`. On other C libraries nothing is done (macOS: `MallocScribble=1`).
"""

import ctypes
import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress

__all__ = ["restart_scrubbed", "scrub_large_blocks", "scrubbed_environment"]

_VARIABLE = "GLIBC_TUNABLES"
_FILL = 0xA5
_TUNABLES = (f"glibc.malloc.perturb={_FILL}", "glibc.malloc.tcache_count=0")
_M_PERTURB = -6


def scrubbed_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process whose freed memory is overwritten; unchanged where there is no glibc."""
    result = dict(environment)
    if platform.libc_ver()[0] == "glibc":
        others = [one for one in result.get(_VARIABLE, "").split(":") if one and one not in _TUNABLES]
        result[_VARIABLE] = ":".join((*others, *_TUNABLES))
    return result


def restart_scrubbed() -> None:
    """Begins this process again with `scrubbed_environment`, unless it has it. For the first line of a program.

    Children do not inherit it.
    """
    wanted = scrubbed_environment(os.environ)
    if wanted == dict(os.environ):
        os.environ.pop(_VARIABLE, None)  # glibc has read it
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], wanted)  # noqa: S606


def scrub_large_blocks() -> None:
    """The same for blocks of more than a kilobyte, in a process that was not begun so."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_PERTURB, _FILL)
