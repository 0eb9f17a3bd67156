"""What comes out of a backup's compressed members, whatever went into them."""

import gzip
import io
import tracemalloc

import pytest

from server.backup import archive
from server.backup.archive import BackupError, lines_of, packed

MB = 1 << 20


def test_what_was_packed_comes_out() -> None:
    rows = [{"key": "a", "value": "\ud83c \u2028 \n"}, {"key": "b", "value": [1, None]}]
    assert list(lines_of("redis/000001.jsonl.gz", io.BytesIO(packed(rows)))) == rows


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (gzip.compress(b"0" * (16 * MB), 1), "unpacks to more"),
        (gzip.compress(b"{}\n" * MB, 1), "unpacks to more"),
        (gzip.compress(b"\n" * MB, 1), "unpacks to more"),
        (gzip.compress(b"[" * 50_000 + b"\n", 1), "cannot be read"),
        (gzip.compress(b"{}\n{", 1), "cannot be read"),
        (packed([{"key": "a"}])[:-9], "cannot be read"),
        (b"no gzip", "cannot be read"),
    ],
    ids=["one line", "many lines", "nothing but lines", "deep", "no JSON", "cut off", "no gzip"],
)
def test_a_bomb_is_refused_with_a_sentence_and_without_its_memory(
    data: bytes, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_LINE", MB // 16)
    monkeypatch.setattr(archive, "MOST_MEMBER", MB // 8)
    tracemalloc.start()
    try:
        with pytest.raises(BackupError, match=rf"redis/000001\.jsonl\.gz.*{says}"):
            for _ in lines_of("redis/000001.jsonl.gz", io.BytesIO(data)):
                pass
        assert tracemalloc.get_traced_memory()[1] < MB
    finally:
        tracemalloc.stop()


def test_what_could_not_be_restored_is_not_backed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_LINE", 1_000)
    with pytest.raises(BackupError, match="no backup can hold it"):
        packed([{"key": "a", "value": "x" * 1_000}])
