"""Child processes that never outlive the server: the embedded store and the bundled model.

A child has a session of its own, so Ctrl-C in the terminal reaches the server only, which drains and then stops its
children in order. If the server goes without a word (`kill -9`, out of memory), the child is ended by what
`server.die_with_parent` arranged: the kernel on Linux, a watcher on a pipe elsewhere.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

__all__ = ["Child", "plain_environment", "spawn_child"]

_SCRIPT = Path(__file__).with_name("die_with_parent.py")
_PLAIN = frozenset({"PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "XDG_RUNTIME_DIR"})
Mechanism = Literal["kernel", "pipe"]


class Child:
    """A running child process; made by `spawn_child`."""

    def __init__(self, process: subprocess.Popen[bytes], lifeline: int | None) -> None:
        self._process = process
        self._lifeline = lifeline
        self._exit: Future[int] = Future()
        self._exit.set_running_or_notify_cancel()  # a cancelled waiter must not cancel the others
        threading.Thread(target=self._reap, name=f"reap-{process.pid}", daemon=True).start()

    def _reap(self) -> None:
        code = self._process.wait()
        if self._lifeline is not None:
            os.close(self._lifeline)  # the watcher has nothing left to watch
        self._exit.set_result(code)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdout(self) -> IO[bytes] | None:
        """The pipe, when `stdout=subprocess.PIPE` was asked for."""
        return self._process.stdout

    @property
    def returncode(self) -> int | None:
        """None while it runs; minus the signal's number when a signal ended it."""
        return self._exit.result() if self._exit.done() else None

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        return await asyncio.wrap_future(self._exit)

    def signal(self, number: int) -> None:
        """Sends a signal to the child's whole process group; nothing happens when it is gone."""
        if not self._exit.done():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def stop(self, grace: float = 10.0) -> int:
        """SIGTERM, `grace` seconds, SIGKILL. Returns the exit status."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                return await self.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.wait()

    def stop_now(self, grace: float = 10.0) -> int:
        """`stop` for callers without an event loop."""
        self.signal(signal.SIGTERM)
        try:
            return self._exit.result(grace)
        except FutureTimeoutError:
            self.signal(signal.SIGKILL)
            return self._exit.result()


def plain_environment(**more: str) -> dict[str, str]:
    """What any program needs of this process's environment, and `more`: no key that was given to the server."""
    kept = {name: value for name, value in os.environ.items() if name in _PLAIN or name.startswith(("LC_", "DYLD_"))}
    return kept | more


def spawn_child(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.STDOUT,
    pass_fds: Sequence[int] = (),
    death_signal: signal.Signals = signal.SIGTERM,
    grace: float = 5.0,
    mechanism: Mechanism = "kernel" if sys.platform == "linux" else "pipe",
) -> Child:
    """Starts `argv` as a child that ends with this process.

    The child's pid is the program's own: the script that arranges its end becomes the program (`exec`). A program that
    cannot be run ends with status 127 and one line on its stderr.

    Args:
        env: its whole environment; this process's where None.
        pass_fds: descriptors it inherits.
        death_signal: what it gets when this process ends without stopping it.
        grace: seconds after which the watcher, where there is one, follows that with SIGKILL for the whole group.

    Raises:
        RuntimeError: called from another thread than the main one, whose end the kernel would take for ours.
        OSError: no process could be made.
    """
    if mechanism == "kernel" and threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "spawn_child must be called from the main thread: the child ends with the thread that made it"
        )
    lifeline: int | None = None
    inherited: int | None = None
    if mechanism == "kernel":
        how = f"kernel:{os.getpid()}:{int(death_signal)}"
    else:
        inherited, lifeline = os.pipe()
        how = f"pipe:{inherited}:{int(death_signal)}:{grace}"
    try:
        process = subprocess.Popen(  # noqa: S603 - argv comes from the server itself
            [sys.executable, "-I", "-S", str(_SCRIPT), how, *argv],
            env=env,
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=(*pass_fds, *([inherited] if inherited is not None else [])),
            start_new_session=True,
        )
    except BaseException:
        if lifeline is not None:
            os.close(lifeline)
        raise
    finally:
        if inherited is not None:
            os.close(inherited)
    return Child(process, lifeline)
