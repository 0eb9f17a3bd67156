"""A model file is there once it is whole and right, and what came is never fetched twice."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from comfy_nodes.installing.download import address, download
from comfy_nodes.installing.errors import InstallError
from comfy_nodes.installing.known import KNOWN, KnownFile
from tests.installing.hub import Hub, serving

CONTENT = os.urandom(3_000_000)
FILE = KnownFile(
    name="adapter.safetensors",
    folder="ipadapter",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    bytes=len(CONTENT),
    source="someone/repository",
    path="models/adapter.safetensors",
    what="an adapter",
)
UNSIZED = replace(FILE, bytes=None)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(CONTENT) as hub:
        yield hub


def fetch(hub: Hub, folder: Path, file: KnownFile = FILE) -> Path:
    return download(file, folder, hub=hub.url, wait=0.001)


@pytest.mark.parametrize("file", [FILE, UNSIZED])
def test_it_comes_whole_from_its_published_place(hub: Hub, tmp_path: Path, file: KnownFile) -> None:
    path = fetch(hub, tmp_path / "models", file)
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == [FILE.name]
    assert hub.asked == [("/someone/repository/resolve/main/models/adapter.safetensors", None)]


@pytest.mark.parametrize("file", [FILE, UNSIZED])
def test_a_broken_connection_goes_on_where_it_was(hub: Hub, tmp_path: Path, file: KnownFile) -> None:
    hub.breaks = [1_000_000, 500_000]
    assert fetch(hub, tmp_path, file).read_bytes() == CONTENT
    assert [wanted for _, wanted in hub.asked] == [None, "bytes=1000000-", "bytes=1500000-"]


@pytest.mark.parametrize("file", [FILE, UNSIZED])
@pytest.mark.parametrize("already", [1, len(CONTENT) - 1, len(CONTENT)])
def test_what_an_earlier_run_left_is_used(hub: Hub, tmp_path: Path, file: KnownFile, already: int) -> None:
    (tmp_path / f"{FILE.name}.part").write_bytes(CONTENT[:already])
    assert fetch(hub, tmp_path, file).read_bytes() == CONTENT


def test_a_server_that_cannot_resume_sends_it_anew(hub: Hub, tmp_path: Path) -> None:
    hub.ranges = False
    (tmp_path / f"{FILE.name}.part").write_bytes(b"of something else")
    assert fetch(hub, tmp_path).read_bytes() == CONTENT


def test_an_overloaded_server_is_asked_again(hub: Hub, tmp_path: Path) -> None:
    hub.statuses = [503, 429]
    assert fetch(hub, tmp_path).read_bytes() == CONTENT


def test_a_whole_file_is_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    fetch(hub, tmp_path)
    hub.asked.clear()
    fetch(hub, tmp_path)
    assert hub.asked == []


def test_another_file_of_that_name_is_left_alone(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / FILE.name).write_bytes(b"somebody's own")
    with pytest.raises(InstallError, match="another file"):
        fetch(hub, tmp_path)
    assert (tmp_path / FILE.name).read_bytes() == b"somebody's own"
    assert hub.asked == []


def test_a_file_with_another_hash_is_thrown_away(hub: Hub, tmp_path: Path) -> None:
    hub.content = CONTENT[:-1] + b"?"
    with pytest.raises(InstallError, match="thrown away"):
        fetch(hub, tmp_path)
    assert not (tmp_path / FILE.name).exists()
    hub.content = CONTENT
    assert fetch(hub, tmp_path).read_bytes() == CONTENT


def test_a_file_of_another_size_is_not_taken(hub: Hub, tmp_path: Path) -> None:
    hub.content = CONTENT + b"more"
    with pytest.raises(InstallError, match="3000004 bytes where 3000000"):
        fetch(hub, tmp_path)


@pytest.mark.parametrize(("status", "said"), [(404, "status 404"), (401, "status 401"), (503, "cannot be reached")])
def test_a_server_that_refuses_is_named(hub: Hub, tmp_path: Path, status: int, said: str) -> None:
    hub.statuses = [status] * 10
    with pytest.raises(InstallError, match=said):
        fetch(hub, tmp_path)


def test_nothing_listens(tmp_path: Path) -> None:
    with serving(b"") as gone:
        pass
    with pytest.raises(InstallError, match="it goes on where it was"):
        fetch(gone, tmp_path)


@pytest.mark.parametrize("hub_address", ["http://example.org", "ftp://example.org", "file:///etc"])
def test_only_https_is_asked(tmp_path: Path, hub_address: str) -> None:
    with pytest.raises(InstallError, match="use an https address"):
        download(FILE, tmp_path, hub=hub_address)
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_to_plain_http_elsewhere_is_not_followed(hub: Hub, tmp_path: Path) -> None:
    hub.redirect = "http://example.org/adapter"
    with pytest.raises(InstallError, match=r"http://example\.org is not asked"):
        fetch(hub, tmp_path)


def test_a_disk_without_room_is_told_of_before_anything_comes(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1 << 20})())
    with pytest.raises(InstallError, match="1 MB free and 2 MB are needed"):
        fetch(hub, tmp_path)
    assert (tmp_path / f"{FILE.name}.part").stat().st_size == 0


def test_two_processes_do_not_write_one_file(hub: Hub, tmp_path: Path) -> None:
    import fcntl

    with (tmp_path / f"{FILE.name}.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(InstallError, match="Another process"):
            fetch(hub, tmp_path)


def test_a_folder_that_cannot_be_made_is_told_of(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(InstallError, match="cannot be written"):
        fetch(hub, tmp_path / "models")


def test_the_published_places_are_addresses_of_the_hub() -> None:
    for file in KNOWN:
        assert address(file).startswith("https://huggingface.co/h94/IP-Adapter/resolve/main/")
        assert len(file.sha256) == 64
