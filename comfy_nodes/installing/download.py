"""Fetching a published file: resumed where it stopped, checked by its hash, and there only once it is whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from .errors import InstallError
from .known import KnownFile

__all__ = ["HUB", "Progress", "address", "download", "sha256_of"]

HUB = "https://huggingface.co"
CHUNK = 1 << 20
SILENCE_SECONDS = 30.0
TRIES = 6
MARGIN = 64 << 20
"""Bytes that stay free on the disk."""

Progress = Callable[[str, int, "int | None"], None]
"""Called with what is done, the bytes so far, and all bytes where that is known."""


def address(file: KnownFile, hub: str = HUB) -> str:
    """Where a file is published. `hub` may be a mirror of the Hugging Face hub."""
    return f"{hub.rstrip('/')}/{file.source}/resolve/main/{file.path}"


def sha256_of(path: Path, progress: Progress | None = None) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            if progress:
                progress(f"checking {path.name}", done, total)
    return digest.hexdigest()


def download(
    file: KnownFile, folder: Path, *, hub: str = HUB, progress: Progress | None = None, wait: float = 1.0
) -> Path:
    """Puts `file` into `folder` and returns its path; one that is there already and whole is left alone.

    What has come is kept as `NAME.part`, so that a later call goes on from there. `wait` is the first pause between
    tries, in seconds; each is twice the one before.

    Raises:
        InstallError: the file's place is taken, the disk is full or read-only, the server does not give the file,
            or what it gives has another hash.
    """
    _refuse_plain(hub)
    target = folder / file.name
    if target.exists():
        if sha256_of(target, progress) == file.sha256:
            return target
        raise InstallError(f"{target} exists and is another file (its sha256 differs): move it away, then try again.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f"{file.name}.part"
        with _locked(unfinished) as part:
            _fill(part, file, address(file, hub), progress, wait)
            _check(part, file, progress)
        unfinished.replace(target)  # closed first: Windows moves no open file
    except OSError as error:
        raise InstallError(f"{target} cannot be written: {error.strerror or error}. What came is kept.") from None
    return target


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """The unfinished file, held by this process alone."""
    with path.open("a+b") as stream:
        try:
            _lock(stream)
        except OSError:
            raise InstallError(f"Another process is downloading {path.stem}: wait for it.") from None
        yield stream


def _lock(stream: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _fill(part: IO[bytes], file: KnownFile, url: str, progress: Progress | None, wait: float) -> None:
    """Reads until the file is whole; goes on after a broken connection as long as something still comes."""
    failures = 0
    while True:
        before = part.seek(0, os.SEEK_END)
        if file.bytes is not None and before == file.bytes:
            return
        try:
            if _read(part, before, file, url, progress):
                return
            reason = "the connection broke off"
        except urllib.error.HTTPError as error:
            if error.code == 416 and before:  # nothing is left from this byte on
                if error.headers.get("Content-Range") == f"bytes */{before}":
                    return
                part.truncate(0)
                continue
            if error.code not in (408, 425, 429) and error.code < 500:
                raise InstallError(
                    f"{_host(url)} does not give {file.path} (status {error.code}): download it by hand from {url}."
                ) from None
            reason = f"status {error.code}"
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(getattr(error, "reason", None) or error) or type(error).__name__
        failures = 0 if part.seek(0, os.SEEK_END) > before else failures + 1
        if failures == TRIES:
            raise InstallError(f"{_host(url)} cannot be reached ({reason}). Run this again: it goes on where it was.")
        time.sleep(wait * 2**failures)


def _read(part: IO[bytes], start: int, file: KnownFile, url: str, progress: Progress | None) -> bool:
    """One request, from byte `start` on; whether it came to the end."""
    headers = {"User-Agent": "vestige-install", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the opener takes https alone
    with _opener().open(request, timeout=SILENCE_SECONDS) as response:
        if start and (response.status != 206 or not _continues(response.headers.get("Content-Range"), start)):
            part.truncate(0)
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else file.bytes
        if file.bytes is not None and total != file.bytes:
            raise InstallError(
                f"{_host(url)} offers {file.name} with {total} bytes where {file.bytes} are expected: it was not taken."
            )
        _room(Path(part.name), (total or 0) - start)
        done = part.seek(0, os.SEEK_END)
        while chunk := response.read(CHUNK):
            part.write(chunk)
            done += len(chunk)
            if total is not None and done > total:
                raise InstallError(f"{_host(url)} sends more than it announced of {file.name}: it was not taken.")
            if progress:
                progress(f"downloading {file.name}", done, total)
        part.flush()
        return total is None or done == total


def _check(part: IO[bytes], file: KnownFile, progress: Progress | None) -> None:
    part.flush()
    found = sha256_of(Path(part.name), progress)
    if found != file.sha256:
        part.truncate(0)
        raise InstallError(
            f"{file.name} came with sha256 {found} where {file.sha256} is expected: it was thrown away. Try again; "
            "if it happens twice, the file was replaced at its source and must not be trusted."
        )
    os.fsync(part.fileno())


def _continues(content_range: str | None, start: int) -> bool:
    return bool(content_range) and str(content_range).startswith(f"bytes {start}-")


def _room(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed + MARGIN > free:
        raise InstallError(f"{path.parent} has {free >> 20} MB free and {needed >> 20} MB are needed: make room first.")


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


class _HttpsAlone(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https, and from this machine to itself (a mirror in a tunnel, a test)."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _refuse_plain(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_HttpsAlone)


def _refuse_plain(url: str) -> None:
    """Raises `InstallError` where somebody on the way could change what comes."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")):
        return
    raise InstallError(f"{parts.scheme}://{parts.hostname} is not asked for files: use an https address.")
