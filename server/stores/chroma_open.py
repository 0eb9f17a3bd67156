"""Opens Chroma, in the data folder or over HTTP, and finds or makes the shards of one embedder.

The collections of a generation are named `vestige-<fingerprint>-<number>` and say in their metadata what they were
made for. So the embedder's identity lies with the records, wherever they are, and a re-index can fill a new generation
beside the old one.
"""

import hashlib
import ipaddress
import json
import resource
import shutil
import socket
import sqlite3
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

import httpx
import structlog

from server.errors import SettingsError, StartupError, StoreUnavailable
from server.stores.chroma_tools import DATABASE, OpenMark, run_tool
from server.stores.scrub import scrub_large_blocks
from server.stores.valkey_disk import RESERVE

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection

__all__ = ["Generation", "Opened", "Shards", "embedded", "over_http"]

_log = structlog.get_logger(__name__)

_PREFIX = "vestige-"
_SYNC = 64
"""After how many writes Chroma puts a vector index on disk. Until then they are replayed at a shard's first use."""
_FILES = 8_192
_CONNECT_SECONDS = 3.0
_HTTP_SECONDS = 30.0
_PURGE_SECONDS = 1_800.0


@dataclass(frozen=True)
class Generation:
    """What a set of shards was made for."""

    shards: int
    embedder: str
    dim: int

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.shards}\n{self.embedder}\n{self.dim}".encode()).hexdigest()[:12]

    def name(self, number: int) -> str:
        return f"{_PREFIX}{self.fingerprint}-{number:02}"


@dataclass(frozen=True)
class Shards:
    """The collections of a generation by number, and how many records they hold together."""

    generation: Generation
    collections: "Sequence[Collection]"
    count: int


@dataclass(frozen=True)
class Opened:
    """An open Chroma. `forget_others` deletes the `others`; `purge` is what `ChromaShards.purge` promises.

    `check_room` raises `StoreUnavailable` where a write may not fit on the disk any more.
    """

    collections: "Sequence[Collection]"
    others: Sequence[Shards]
    forget_others: Callable[[], None]
    purge: Callable[[], Awaitable[None]]
    close: Callable[[], None]
    check_room: Callable[[], None]


def embedded(folder: Path, wanted: Generation) -> Opened:
    """Chroma in this process over `folder`. Blocks; call `chroma_tools.repair` before.

    Raises:
        SettingsError: more shards than this account may have files open for.
    """
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    scrub_large_blocks()
    _raise_file_limit(wanted.shards)
    _create(folder / DATABASE)
    mark = OpenMark(folder)
    mark.set()
    client = cast("Client", chromadb.PersistentClient(str(folder), settings=ChromaSettings(anonymized_telemetry=False)))

    def close() -> None:
        client.close()
        mark.clear()

    async def purge() -> None:
        await run_tool("chroma_purge", folder, _PURGE_SECONDS)

    def check_room() -> None:
        # Chroma notices a full disk in the middle of a write, and then may lock its database until the process ends
        if shutil.disk_usage(folder).free < RESERVE:
            raise StoreUnavailable("The index store has no disk space left: free some, then try again.", store="index")

    return _open(client, wanted, purge, close, check_room)


def over_http(url: str, wanted: Generation) -> Opened:
    """A Chroma server at a private address. Blocks.

    Raises:
        SettingsError: an address that is none, or a public one.
        StartupError: nobody answers there.
    """
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 8000)
    except ValueError:
        port = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or not port or parts.path not in ("", "/"):
        raise SettingsError("chroma_url is no address: write http://host:port.")
    _refuse_public(parts.hostname, port)
    headers: dict[str, str] = {}
    if parts.password is not None:
        user, password = unquote(parts.username or ""), unquote(parts.password)
        if user:
            headers["Authorization"] = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        else:
            headers["X-Chroma-Token"] = password
    secure = parts.scheme == "https"
    options = ChromaSettings(anonymized_telemetry=False)
    client = cast("Client", chromadb.HttpClient(parts.hostname, port, ssl=secure, headers=headers, settings=options))
    sessions = _sessions(client)
    for session in sessions:
        session.timeout = _HTTP_SECONDS

    async def purge() -> None:
        _log.info("chroma_purge_left_to_server", reason="its files are not here")

    def close() -> None:
        client.close()
        for session in sessions:
            session.close()

    return _open(client, wanted, purge, close, lambda: None)


def _open(
    client: "Client",
    wanted: Generation,
    purge: Callable[[], Awaitable[None]],
    close: Callable[[], None],
    check_room: Callable[[], None],
) -> Opened:
    try:
        return _find(client, wanted, purge, close, check_room)
    except BaseException:
        close()
        raise


def _find(
    client: "Client",
    wanted: Generation,
    purge: Callable[[], Awaitable[None]],
    close: Callable[[], None],
    check_room: Callable[[], None],
) -> Opened:
    collections = [_shard(client, wanted, number) for number in range(wanted.shards)]
    ours = {collection.name for collection in collections}
    found: dict[Generation, dict[int, Collection]] = {}
    for collection in client.list_collections():
        if collection.name.startswith(_PREFIX) and collection.name not in ours:
            about = json.loads((collection.metadata or {}).get("vestige", "{}"))
            generation = Generation(about["shards"], about["embedder"], about["dim"])
            found.setdefault(generation, {})[int(collection.name.rpartition("-")[2])] = collection

    def forget_others() -> None:
        for shards in found.values():
            for collection in shards.values():
                client.delete_collection(collection.name)

    others = [
        Shards(
            generation,
            [
                shards[number] if number in shards else _shard(client, generation, number)
                for number in range(generation.shards)
            ],
            sum(collection.count() for collection in shards.values()),
        )
        for generation, shards in found.items()
    ]
    return Opened(collections, others, forget_others, purge, close, check_room)


def _shard(client: "Client", generation: Generation, number: int) -> "Collection":
    about = {"shards": generation.shards, "embedder": generation.embedder, "dim": generation.dim}
    return client.get_or_create_collection(
        generation.name(number),
        embedding_function=None,  # never Chroma's own, which would download a model
        metadata={"vestige": json.dumps(about)},
        configuration={"hnsw": {"space": "cosine", "sync_threshold": _SYNC, "batch_size": _SYNC}},
    )


def _sessions(client: "Client") -> list[httpx.Client]:
    """The HTTP clients inside: chromadb never closes them, and has no setting for their time-out, which is none."""
    owners = (client, getattr(client, "_admin_client", None))
    found = (getattr(getattr(owner, "_server", None), "_session", None) for owner in owners)
    return [session for session in found if isinstance(session, httpx.Client)]


def _create(database: Path) -> None:
    """Makes the database with a write-ahead log: reads go on during writes and purges, and a write takes half the time.

    Chroma keeps what the file says. Nobody has it open yet, so this process may touch it (see `run_tool`).
    """
    if database.exists():
        return
    connection = sqlite3.connect(database)
    try:
        database.chmod(0o600)
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
    finally:
        connection.close()


def _raise_file_limit(shards: int) -> None:
    """Chroma keeps about a fifth as many collections open as the process may have files; beyond that, reads fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft != resource.RLIM_INFINITY and soft < shards * 10:
        raise SettingsError(f"{shards} shards need {shards * 10} open files, but only {soft} are allowed: ulimit -n.")


def _refuse_public(host: str, port: int) -> None:
    """Chroma's Python server lets anyone who reaches it run code (CVE-2026-45829), so not everyone may reach it.

    Raises:
        SettingsError: the name leads to a public address.
        StartupError: it leads nowhere, or nobody answers.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise StartupError(f"chroma_url: the host {host!r} is not known ({error.strerror}).") from error
    for *_, where in found:
        address = ipaddress.ip_address(str(where[0]).partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        if address.is_global or address.is_multicast:
            raise SettingsError(
                f"chroma_url leads to the public address {address}: keep Chroma on this machine or in a private "
                "network, because whoever reaches its port can run code there (CVE-2026-45829)."
            )
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise StartupError(f"chroma_url: nobody answers at {host}:{port}: start Chroma there, or unset it.") from error
