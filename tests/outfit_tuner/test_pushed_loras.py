"""What servers send to a host: resumed, verified, bounded; what people put there stays."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from comfy_nodes.outfit_tuner import pushed_loras
from comfy_nodes.outfit_tuner.file_hashes import FileHashes
from comfy_nodes.outfit_tuner.loras import find_characters
from comfy_nodes.outfit_tuner.pushed_loras import PushedLoras, PushError, Version
from tests.loras import lora_files as made

Make = Callable[..., PushedLoras]


def file(seed: int) -> tuple[bytes, str]:
    data = made.lora(fill=seed.to_bytes(2, "little"))
    return data, hashlib.sha256(data).hexdigest()


SIZE = len(file(0)[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "loras").mkdir()
    return tmp_path / "loras"


def listed(folder: Path) -> dict[str, Path]:
    """As ComfyUI lists them."""
    return {str(path.relative_to(folder)): path for path in folder.rglob("*.safetensors")}


@pytest.fixture
def make(folder: Path, tmp_path: Path) -> Make:
    """A new one over the same folder: as after a restart of ComfyUI."""

    def over(files: float = 100) -> PushedLoras:
        hashes = FileHashes(tmp_path / "hashes")
        return PushedLoras(folder / "vestige", int(files * SIZE), lambda: listed(folder), hashes)

    return over


def send(loras: PushedLoras, version: Version, seed: int, *, start: int = 0, end: int | None = None) -> None:
    data, sha256 = file(seed)
    incoming = loras.receive(version, sha256, start, len(data))
    incoming.write(data[start:end])
    incoming.close()
    if end is None:
        loras.finish(version, sha256)


def refused(code: str) -> pytest.RaisesExc[PushError]:
    return pytest.RaisesExc(PushError, check=lambda error: error.code == code)


def halina(number: int) -> Version:
    return Version.named("halina", str(number))


def test_a_file_is_seen_when_it_is_whole(make: Make, folder: Path) -> None:
    loras, (data, sha256) = make(), file(1)
    assert loras.look(halina(3), sha256) == (False, 0)
    send(loras, halina(3), 1, end=10_000)
    assert listed(folder) == {}
    assert loras.look(halina(3), sha256) == (False, 10_000)

    again = make()  # ComfyUI was started anew
    assert again.look(halina(3), sha256) == (False, 10_000)
    send(again, halina(3), 1, start=10_000)

    assert list(listed(folder)) == ["vestige/halina_v3.safetensors"]
    assert listed(folder)["vestige/halina_v3.safetensors"].read_bytes() == data
    assert again.look(halina(3), sha256) == (True, len(data))
    assert find_characters(listed(folder))["halina"].live() == 3
    assert [each.name for each in (folder / "vestige").glob("*.part")] == []
    assert (again.usage().bytes, again.usage().coming_bytes) == (len(data), 0)


def test_its_hash_is_known_from_then_on(make: Make, folder: Path, tmp_path: Path) -> None:
    send(make(), halina(3), 1)
    assert FileHashes(tmp_path / "hashes").known(folder / "vestige" / "halina_v3.safetensors") == file(1)[1]


def test_one_goes_on_where_it_stopped_or_drops_it(make: Make) -> None:
    loras, (data, sha256) = make(), file(1)
    send(loras, halina(3), 1, end=10_000)
    with refused("wrong_start") as error:
        loras.receive(halina(3), sha256, 9_999, len(data))
    assert error.value.details == {"received": 10_000}
    loras.drop(halina(3), sha256)
    assert loras.look(halina(3), sha256) == (False, 0)
    send(loras, halina(3), 1)
    assert loras.look(halina(3), sha256)[0]
    loras.drop(halina(3), sha256)  # which is not for what is whole
    assert loras.look(halina(3), sha256)[0]


def test_one_sender_at_a_time(make: Make) -> None:
    loras, (data, sha256) = make(), file(1)
    incoming = loras.receive(halina(3), sha256, 0, len(data))
    with refused("being_received"):
        make().receive(halina(3), sha256, 0, len(data))
    with refused("being_received"):
        make().finish(halina(3), sha256)
    make().receive(halina(4), file(2)[1], 0, len(data)).close()  # another version is another matter
    incoming.close()
    make().receive(halina(3), sha256, 0, len(data)).close()
    make().drop(halina(3), sha256)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02}q\x00." + bytes(2_000),
        b"PK\x03\x04" + bytes(2_000),
        made.lora()[:-1],
        made.lora() + b"\x00",
        made.lora({"model.weight": (4, 4)}),
    ],
)
def test_what_is_no_lora_is_never_seen(make: Make, folder: Path, data: bytes) -> None:
    loras, sha256 = make(), hashlib.sha256(data).hexdigest()
    incoming = loras.receive(halina(3), sha256, 0, len(data))
    incoming.write(data)
    incoming.close()
    with refused("wrong_content"):
        loras.finish(halina(3), sha256)
    assert listed(folder) == {}
    assert loras.look(halina(3), sha256) == (False, 0)


def test_what_is_not_what_was_announced_is_never_seen(make: Make, folder: Path) -> None:
    loras, (data, _) = make(), file(1)
    incoming = loras.receive(halina(3), "0" * 64, 0, len(data))
    incoming.write(data)
    incoming.close()
    with refused("wrong_content"):
        loras.finish(halina(3), "0" * 64)
    assert listed(folder) == {}


def test_what_was_used_longest_ago_makes_room(make: Make, folder: Path) -> None:
    loras = make(2.5)
    for number in (1, 2):
        send(loras, halina(number), number)
        os.utime(folder / "vestige" / f"{halina(number).file}.sent", (number, number))
    pushed_loras.mark_used(folder / "vestige" / halina(1).file)  # as the node does that loads it
    send(loras, halina(3), 3)
    assert {each.file for each in loras.sent()} == {halina(1).file, halina(3).file}
    assert {path.name for path in listed(folder).values()} == {halina(1).file, halina(3).file}


def test_asking_for_one_uses_it(make: Make, folder: Path) -> None:
    loras = make()
    for number in (1, 2):
        send(loras, halina(number), number)
        os.utime(folder / "vestige" / f"{halina(number).file}.sent", (number, number))
    loras.look(halina(1), file(1)[1])
    assert [each.file for each in loras.sent()] == [halina(1).file, halina(2).file]


def test_what_is_pinned_stays(make: Make) -> None:
    loras = make(2.5)
    for number in (1, 2):
        send(loras, halina(number), number)
        loras.pin(halina(number), True)
    with refused("no_room"):
        send(loras, halina(3), 3)
    loras.pin(halina(1), False)
    send(loras, halina(3), 3)
    assert {each.file for each in loras.sent() if each.pinned} == {halina(2).file}
    with refused("not_here"):
        loras.pin(halina(1), True)


def test_what_people_put_there_stays(make: Make, folder: Path) -> None:
    loras = make(1.5)
    by_hand = (folder / "ania_v1.safetensors", folder / "vestige" / "bea_v1.safetensors", folder / "vestige" / "c.txt")
    (folder / "vestige").mkdir()
    for path in by_hand:
        path.write_bytes(file(7)[0])
    send(loras, halina(1), 1)
    replaced = folder / "vestige" / halina(1).file
    replaced.write_bytes(file(8)[0] + b"\x00")  # by a person, over what was sent
    send(loras, halina(2), 2)
    send(loras, halina(3), 3)
    assert all(path.exists() for path in (*by_hand, replaced))
    assert {each.file for each in loras.sent()} == {halina(3).file}


def test_larger_than_everything_that_may_be_here(make: Make) -> None:
    with refused("no_room"):
        send(make(0.5), halina(1), 1)
    with refused("too_large"):
        make().receive(halina(1), "0" * 64, 0, pushed_loras.MAX_BYTES + 1)


def test_two_that_come_at_once_stay_within_what_may_be_here(make: Make, folder: Path) -> None:
    loras, (data, sha256), (_, other) = make(1.5), file(1), file(2)
    first = loras.receive(halina(1), sha256, 0, len(data))
    with refused("no_room"):  # not a byte of the first is here yet
        make(1.5).receive(halina(2), other, 0, len(data))
    first.write(data[:10])
    with refused("no_room"):
        make(1.5).receive(halina(2), other, 0, len(data))
    first.close()  # it breaks off
    send(loras, halina(2), 2)
    (folder / "vestige" / "locks" / "halina_v1.room").write_text('{"part": "x", "total": 1e9}')  # a process died
    send(loras, halina(3), 3)
    assert {each.file for each in loras.sent()} == {halina(3).file}
    assert list((folder / "vestige" / "locks").glob("*.room")) == []


def test_a_disk_that_has_no_room(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushed_loras, "_SPARE_BYTES", 1 << 60)
    with refused("no_room"):
        send(make(), halina(1), 1)


def test_what_was_begun_and_left_goes(make: Make, folder: Path) -> None:
    loras = make(1.5)
    send(loras, halina(1), 1, end=10)
    part = next((folder / "vestige").glob("*.part"))
    send(loras, halina(2), 2)
    assert part.exists()
    os.utime(part, (1, 1))
    send(loras, halina(3), 3)
    assert not part.exists()


def test_a_version_that_is_here_already_is_not_sent_again(make: Make, folder: Path) -> None:
    data, sha256 = file(1)
    (folder / "people").mkdir()
    (folder / "people" / "halina_v3.safetensors").write_bytes(data)
    assert make().look(halina(3), sha256) == (True, len(data))
    with refused("version_taken"):
        make().look(halina(3), file(2)[1])
    assert make().sent() == []


def test_what_is_live_stays_live_when_a_higher_version_comes(make: Make, folder: Path) -> None:
    (folder / "halina_v2.safetensors").write_bytes(file(2)[0])
    send(make(), halina(5), 5)
    assert find_characters(listed(folder))["halina"].live() == 2
    assert json.loads((folder / "live.json").read_bytes()) == {"halina": 2}


def test_hashing_anew(make: Make, folder: Path) -> None:
    loras = make()
    assert loras.hashed_again(halina(1)) is None
    send(loras, halina(1), 1)
    assert loras.hashed_again(halina(1)) == file(1)[1]
    path = folder / "vestige" / halina(1).file
    stat = path.stat()
    path.write_bytes(file(2)[0])  # rot leaves size and time as they were
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert loras.hashed_again(halina(1)) == file(2)[1]


@pytest.mark.parametrize(
    ("character", "version"),
    [
        ("../halina", "1"),
        ("halina/x", "1"),
        ("Halina", "1"),
        ("", "1"),
        (".", "1"),
        ("a.b.c", "1"),
        ("halina", "0"),
        ("halina", "live"),
        ("halina", "1/../2"),
        ("halina", "1234567"),
        ("x" * 65, "1"),
        ("halina\n", "1"),
    ],
)
def test_a_name_is_never_a_path(character: str, version: str) -> None:
    with refused("bad_name"):
        Version.named(character, version)


@pytest.mark.parametrize("sha256", ["", "0" * 63, "../" + "0" * 61, "0" * 64 + "\n", "A" * 64])
def test_a_hash_is_never_a_path(make: Make, sha256: str) -> None:
    with refused("bad_hash"):
        make().look(halina(1), sha256)


def test_tenants_have_names_of_their_own(make: Make, folder: Path) -> None:
    send(make(), Version.named("acme.halina", "1"), 1)
    send(make(), halina(1), 2)
    assert set(find_characters(listed(folder))) == {"acme.halina", "halina"}


def test_a_folder_that_cannot_be_written_to(folder: Path, make: Make) -> None:
    (folder / "vestige").write_bytes(b"")
    with refused("not_kept"):
        send(make(), halina(1), 1)
