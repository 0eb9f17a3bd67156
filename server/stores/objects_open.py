"""Opening the object store: a folder, or an S3 bucket by the environment names that AWS' own tools read."""

import asyncio
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store
from prometheus_client import CollectorRegistry

from server.datafolder import DataFolder
from server.ending import end
from server.errors import StartupError, StoreUnavailable
from server.settings import Settings
from server.stores.objects import Objects

__all__ = ["open_objects"]

_log = structlog.get_logger(__name__)

_CONNECT = timedelta(seconds=5)
_REQUEST = timedelta(seconds=30)
_RETRY = timedelta(seconds=20)
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?", re.ASCII)
_HALF_WRITTEN = re.compile(r"#\d+")
"""How obstore names a file on its way, after the name it will have."""
_STALE_SECONDS = 3_600.0
_SWEEP_SECONDS = 3_600.0


@asynccontextmanager
async def open_objects(settings: Settings, registry: CollectorRegistry | None = None) -> AsyncIterator[Objects]:
    """The object store that the settings name. Workers open it beside the server; the data folder need not be held.

    Raises:
        StartupError: the folder cannot be made or written to; no such bucket, no credentials, nobody answers.
    """
    url = settings.objects_url
    if url is not None and url.startswith("s3://"):
        _forget_empty(os.environ)
        objects = _bucket(url, os.environ, registry)
        await _answers(objects)
        yield objects
        return
    root = DataFolder(settings.data).objects if url is None else Path(url)
    objects = Objects(_folder(root), registry=registry)
    sweeping = asyncio.create_task(_sweep(root), name="objects-sweeper")
    try:
        yield objects
    finally:
        await end([sweeping])


def _folder(root: Path) -> LocalStore:
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(root, os.W_OK | os.X_OK):
            raise PermissionError
        return LocalStore(root, automatic_cleanup=True)
    except (OSError, BaseError) as error:
        raise StartupError(
            f"The objects' folder {root} cannot be written to: check its owner, or set objects_url."
        ) from error


def _forget_empty(environment: MutableMapping[str, str]) -> None:
    """Variables set to nothing, as Compose and charts leave them, are none: obstore reads them itself, and would take
    "" for an endpoint and panic."""
    for name in [name for name, value in environment.items() if name.startswith("AWS_") and not value]:
        del environment[name]


def _bucket(url: str, environment: Mapping[str, str], registry: CollectorRegistry | None) -> Objects:
    """The bucket of `s3://bucket/prefix`. obstore itself reads region, keys and endpoint from the environment."""
    parts = urlsplit(url)
    endpoint = next((environment[name] for name in _ENDPOINTS if environment.get(name)), "")
    if endpoint and not _ADDRESS.fullmatch(endpoint):  # obstore would panic, and only at the first request
        raise StartupError("AWS_ENDPOINT_URL is no address such as https://s3.example.org.")
    try:
        store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={
                # plain HTTP only where the operator names such an endpoint, as for a store of their own
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": _CONNECT,
                "timeout": _REQUEST,
            },
            retry_config={"max_retries": 3, "retry_timeout": _RETRY},
        )
    except (BaseError, ValueError) as error:
        raise StartupError("The object store cannot be opened: look at objects_url and the AWS_… variables.") from error
    # what temporary credentials sign ends with them, which may be long before the page does
    lasting = "AWS_ACCESS_KEY_ID" in environment and not {"AWS_SESSION_TOKEN", "AWS_TOKEN"} & environment.keys()
    return Objects(store, links=lasting, registry=registry)


async def _answers(objects: Objects) -> None:
    try:
        await objects.check()
    except StoreUnavailable as error:
        raise StartupError(error.message) from error


async def _sweep(root: Path) -> None:
    """Removes, now and then, what writes left behind that a kill ended."""
    while True:
        stop = threading.Event()
        try:
            removed = await asyncio.to_thread(remove_half_written, root, stop)
        finally:
            stop.set()
        if removed:
            _log.info("objects_swept", files=removed)
        await asyncio.sleep(_SWEEP_SECONDS)


def remove_half_written(root: Path, stop: threading.Event, *, older: float = _STALE_SECONDS) -> int:
    """Removes files on their way that nobody wrote to for `older` seconds; says how many. Ends early at `stop`."""
    removed, before = 0, time.time() - older
    for folder, _, names in os.walk(root):
        if stop.is_set():
            break
        for name in names:
            if _HALF_WRITTEN.search(name) is None:
                continue
            with suppress(OSError):  # another process sweeps too, or the write ended after all
                file = Path(folder, name)
                if file.stat().st_mtime < before:
                    file.unlink()
                    removed += 1
    return removed
