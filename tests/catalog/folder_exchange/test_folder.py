"""The catalog's folder: what is read from one that strangers made, and that one is written whole or not at all."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from server.catalog.folder_exchange.folder import new_folder, read_folder
from server.errors import InvalidRequest
from tests.catalog.conftest import files_under

ITEM = {"title": "Scarf", "category": "scarves", "price": {"eur": "3.50"}}
LOOK = {"checkpoint": "base.safetensors", "scene": {"seed": 2**64 - 1}}


def write(root: Path, path: str, content: object) -> Path:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return target


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    write(root, "items/scarf/item.json", ITEM)
    write(root, "looks/mira.json", LOOK)
    return root


def test_what_is_written_is_read(tmp_path: Path) -> None:
    with new_folder(tmp_path / "new" / "shop") as writer:
        writer.item("scarf", ITEM, b"a picture")
        writer.item("hat", {"title": "Hat"}, None)
        writer.look("mira", LOOK)
    read = read_folder(tmp_path / "new" / "shop")
    assert (read.items, read.looks, read.problems) == ({"hat": {"title": "Hat"}, "scarf": ITEM}, {"mira": LOOK}, [])
    assert [(id, read.picture(id)) for id in read.pictures] == [("scarf", b"a picture")]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["shop"]


def test_an_index_is_not_needed_and_hidden_files_are_nobodys_business(root: Path) -> None:
    for name in (".git/config", "items/.DS_Store", "items/scarf/.x", "README.md"):
        write(root, name, b"x")
    assert read_folder(root).problems == []


def no_folder(root: Path) -> None:
    (root / "items" / "scarf" / "item.json").unlink()


def two_keys(root: Path) -> None:
    write(root, "items/scarf/item.json", b'{"title": "a", "title": "b"}')


def link_out(root: Path) -> None:
    secret = write(root.parent, "secret.json", ITEM)
    (root / "items" / "scarf" / "item.json").unlink()
    (root / "items" / "scarf" / "item.json").symlink_to(secret)


def linked_item(root: Path) -> None:
    (root / "items" / "copy").symlink_to(root / "items" / "scarf")


def linked_items(root: Path) -> None:
    (root / "items").rename(root.parent / "elsewhere")
    (root / "items").symlink_to(root.parent / "elsewhere")


def pipe(root: Path) -> None:
    (root / "looks" / "mira.json").unlink()
    os.mkfifo(root / "looks" / "mira.json")


def index_of_more(root: Path) -> None:
    write(root, "index.json", {"format": "vestige-catalog/1", "items": ["scarf", "hat"], "looks": ["mira"]})


def index_of_another(root: Path) -> None:
    write(root, "index.json", {"format": "vestige-catalog/2", "items": [], "looks": []})


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        (no_folder, "items/scarf/item.json"),
        (two_keys, "items/scarf/item.json"),
        (link_out, "items/scarf/item.json"),
        (linked_item, "items/copy"),
        (linked_items, "items"),
        (pipe, "looks/mira.json"),
        (index_of_more, "items/hat"),
        (index_of_another, "index.json"),
        (lambda root: write(root, "items/scarf/item.json", b"\xff"), "items/scarf/item.json"),
        (lambda root: write(root, "items/scarf/item.json", b"[]"), "items/scarf/item.json"),
        (lambda root: write(root, "items/scarf/item.json", b"{"), "items/scarf/item.json"),
        (lambda root: write(root, "items/scarf/item.json", b'{"title": "\\ud800"}'), "items/scarf/item.json"),
        (lambda root: write(root, "items/scarf/item.json", b'{"price": {"x": NaN}}'), "items/scarf/item.json"),
        (lambda root: write(root, "items/scarf/item.json", b'{"price": {"x": 1e999}}'), "items/scarf/item.json"),
        (lambda root: write(root, "items/scarf/item.json", b"[" * 60_000), "items/scarf/item.json"),
        (lambda root: write(root, "items/scarf/item.json", b" " * 70_000), "items/scarf/item.json"),
        (lambda root: write(root, "items/scarf/item.json", {"title": ""}), "items/scarf"),
        (lambda root: write(root, "items/scarf/item.json", {"owner": "anna", "title": "x"}), "items/scarf"),
        (lambda root: write(root, "items/scarf/run.sh", b"x"), "items/scarf/run.sh"),
        (lambda root: write(root, "items/Sca rf/item.json", ITEM), "items/Sca rf"),
        (lambda root: write(root, "items/readme.txt", b"x"), "items/readme.txt"),
        (lambda root: write(root, "looks/ben.yaml", b"x"), "looks/ben.yaml"),
        (lambda root: write(root, "looks/mira.json", {"checkpoint": "../x"}), "looks/mira"),
    ],
    ids=range(23),
)
def test_what_is_wrong_with_a_folder_is_named(root: Path, spoil: Callable[[Path], object], where: str) -> None:
    spoil(root)
    assert [problem.where for problem in read_folder(root).problems] == [where]


def test_everything_that_is_wrong_is_told_at_once(root: Path) -> None:
    for spoil in (two_keys, linked_item, pipe):
        spoil(root)
    assert len(read_folder(root).problems) == 3


@pytest.mark.parametrize("what", ["nothing", "a file", "a link", "empty"])
def test_what_is_no_catalog(tmp_path: Path, what: str) -> None:
    root = tmp_path / "shop"
    match what:
        case "a file":
            root.write_bytes(b"x")
        case "a link":
            (tmp_path / "real").mkdir()
            root.symlink_to(tmp_path / "real")
        case "empty":
            root.mkdir()
    assert len(read_folder(root).problems) == 1


def test_a_picture_that_is_none(root: Path) -> None:
    (root / "items" / "scarf" / "reference.png").symlink_to("/etc/passwd")
    read = read_folder(root)
    with pytest.raises(InvalidRequest, match="link"):
        read.picture("scarf")
    read.pictures["scarf"].unlink()
    with read.pictures["scarf"].open("wb") as file:
        file.truncate(11 * 1024 * 1024)
    with pytest.raises(InvalidRequest, match="too large"):
        read.picture("scarf")


def test_nothing_that_is_there_is_written_over(tmp_path: Path) -> None:
    write(tmp_path, "shop/mine.txt", b"mine")
    with pytest.raises(InvalidRequest), new_folder(tmp_path / "shop") as writer:
        writer.item("scarf", ITEM, None)
    assert files_under(tmp_path) == {"shop/mine.txt": b"mine"}


def test_half_a_folder_is_none(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "shop") as writer:
        writer.item("scarf", ITEM, b"picture")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
