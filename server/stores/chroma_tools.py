"""The two jobs on Chroma's files that need a process of their own: purging, and repair after a kill."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import structlog

from server.errors import StoreUnavailable
from server.processes import plain_environment, spawn_child

__all__ = ["DATABASE", "OpenMark", "repair", "run_tool"]

_log = structlog.get_logger(__name__)

DATABASE = "chroma.sqlite3"
_REPAIR_SECONDS = 120.0


class OpenMark:
    """A file that exists while an embedded Chroma is open: where it is left over, the process was killed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "open"
        self._database = folder / DATABASE

    @property
    def kills(self) -> int:
        """How many runs in a row ended without closing."""
        if not self._path.exists() or not self._database.exists():
            return 0
        return int(self._path.read_text() or 0) + 1

    def set(self) -> None:
        kills = self.kills
        self._path.touch(mode=0o600)
        self._path.write_text(str(kills))

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)


async def repair(folder: Path) -> None:
    """After a kill, drops the vector indexes that were cut off in a write (`chroma_repair`).

    A damaged index would end the process that reads it, so another process looks. Records and their text lie in the
    database, which a kill does not damage; the vector index is never read by `ChromaShards`.

    Raises:
        StoreUnavailable: the database itself cannot be opened.
    """
    kills = OpenMark(folder).kills
    if kills:
        _log.info("chroma_checked_after_kill", folder=str(folder))
        await run_tool("chroma_repair", folder, _REPAIR_SECONDS, *(["--all"] if kills > 1 else []))


async def run_tool(name: str, folder: Path, seconds: float, *options: str) -> None:
    """Runs `server.stores.<name>` on Chroma's folder as a process.

    A process of its own, because SQLite's locks belong to processes: Chroma brings its own copy of SQLite, and a second
    copy in the same process neither sees the first one's locks nor leaves them in place when it closes the file.

    Raises:
        StoreUnavailable: it failed; the message is its last line.
    """
    output, inlet = os.pipe()
    try:
        child = spawn_child(
            # -P: the modules beside the script must not stand in for packages of the same name
            [sys.executable, "-P", str(Path(__file__).with_name(f"{name}.py")), *options, str(folder)],
            env=plain_environment(SQLITE_TMPDIR=str(folder), OMP_NUM_THREADS="1"),
            stdout=inlet,
            death_signal=signal.SIGKILL,
        )
    finally:
        os.close(inlet)
    with open(output, "rb") as pipe:  # noqa: ASYNC230, PTH123 - a pipe, read once its other end is closed
        try:
            async with asyncio.timeout(seconds):
                status = await child.wait()
        except TimeoutError as error:
            raise StoreUnavailable(f"{name} took longer than {seconds:.0f} s", store="index") from error
        finally:
            await child.stop(1.0)
        lines = pipe.read(4_096).decode("utf-8", "replace").strip().splitlines()
    for line in lines:
        _log.info(name, line=line)
    if status != 0:
        raise StoreUnavailable(lines[-1] if lines else f"{name} ended with status {status}", store="index")
