"""The data folder: private, ours alone, and never somebody else's."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from server.datafolder import DataFolder
from server.datafolder import folder as folder_module
from server.errors import DataFolderError

ROOT = Path(__file__).parents[2]


def open_once(path: Path) -> None:
    with DataFolder(path).open():
        pass


def test_a_new_folder_is_made_private_with_its_places(tmp_path):
    path = tmp_path / "deep" / "data"
    with DataFolder(path).open() as folder:
        for place in (folder.path, folder.redis, folder.chroma, folder.characters, folder.run):
            assert stat.S_IMODE(place.stat().st_mode) == 0o700
            assert place.is_relative_to(path)
    assert not folder.backup.exists()


def test_an_empty_folder_that_was_open_to_others_becomes_private(tmp_path):
    path = tmp_path / "data"
    path.mkdir(mode=0o755)
    (path / "lost+found").mkdir()
    open_once(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_it_opens_again_with_what_was_in_it(tmp_path):
    with DataFolder(tmp_path / "data").open() as folder:
        (folder.characters / "mira.json").write_text("{}")
    with DataFolder(tmp_path / "data").open() as folder:
        assert (folder.characters / "mira.json").read_text() == "{}"


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(DataFolderError, match=r"'thesis\.tex'.*choose an empty or new folder with --data"):
        open_once(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "data"
    path.touch()
    for wrong in (path, path / "deeper"):
        with pytest.raises(DataFolderError, match="is a file, not a folder"):
            open_once(wrong)


def test_a_start_cut_off_before_the_schema_was_written_is_no_foreign_folder(tmp_path):
    path = tmp_path / "data"
    path.mkdir()
    (path / "vestige.lock").write_text("123\n")
    (path / "schema.json.tmp").write_text('{"ver')
    open_once(path)


def test_a_second_instance_is_refused_and_told_who_is_first(tmp_path):
    code = "import sys; from pathlib import Path; from server.datafolder import DataFolder\n"
    code += "with DataFolder(Path(sys.argv[1])).open(): print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as first:
        assert first.stdout is not None and first.stdout.readline() == b"open\n"
        with pytest.raises(DataFolderError, match=rf"Another vestige \(pid {first.pid}\) is using .* --data"):
            open_once(tmp_path / "data")
        first.kill()
    open_once(tmp_path / "data")


def test_the_lock_goes_with_the_block_also_when_it_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), DataFolder(tmp_path / "data").open():
        raise ZeroDivisionError
    open_once(tmp_path / "data")


def test_an_error_inside_the_block_is_not_taken_for_the_folder_s(tmp_path):
    with pytest.raises(OSError, match="mine") as caught, DataFolder(tmp_path / "data").open():
        raise OSError(errno.ENOSPC, "mine")
    assert not isinstance(caught.value, DataFolderError)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "The disk is full: free some space"),
        (errno.EDQUOT, "The disk is full"),
        (errno.EACCES, "cannot be written: check its owner"),
        (errno.EROFS, "cannot be written"),
        (errno.EIO, "cannot be used: Input/output error"),
    ],
)
def test_what_the_disk_says_becomes_one_line(tmp_path, monkeypatch, number, message):
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(folder_module, "upgrade", fail)
    with pytest.raises(DataFolderError, match=message) as caught:
        open_once(tmp_path / "data")
    assert "\n" not in str(caught.value)


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", fail)
    with pytest.raises(DataFolderError, match="has no locks: put the data folder on a local disk"):
        open_once(tmp_path / "data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(DataFolderError, match=r"closed.* cannot be written"):
        open_once(closed / "data")
