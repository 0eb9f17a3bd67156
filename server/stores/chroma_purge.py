"""Run as a script on a Chroma folder that a server may have open: takes deleted text off the disk.

Chroma 1.5.9 deletes rows, and keeps what they held in three places:
* `embeddings_queue`: every write with its metadata, until the vector index has it (chroma issue 7659). The metadata of
  a write that the metadata index already has will never be read again, so it goes; the vector stays, for the replay.
* free pages and gaps within pages: VACUUM writes the file anew.
* the write-ahead log: emptied at the end.
"""

import sqlite3
import sys
import time
from pathlib import Path

LOCK_SECONDS = 60.0

APPLIED_METADATA = """
UPDATE embeddings_queue SET metadata = NULL
WHERE metadata IS NOT NULL AND seq_id <= (
    SELECT max_seq_id.seq_id FROM max_seq_id JOIN segments ON segments.id = max_seq_id.segment_id
    WHERE segments.scope = 'METADATA' AND segments.collection = substr(embeddings_queue.topic, -36)
)
"""
WITHOUT_COLLECTION = "DELETE FROM embeddings_queue WHERE substr(topic, -36) NOT IN (SELECT id FROM collections)"


def purge(folder: str) -> None:
    """Raises sqlite3.Error: disk full, locked for longer than `LOCK_SECONDS`, or another schema than 1.5.9's."""
    connection = sqlite3.connect(Path(folder) / "chroma.sqlite3", timeout=LOCK_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(APPLIED_METADATA)
        connection.execute(WITHOUT_COLLECTION)
        connection.execute("COMMIT")
        connection.execute("VACUUM")
        end = time.monotonic() + LOCK_SECONDS
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > end:
                raise sqlite3.OperationalError("a reader keeps the write-ahead log in use")
            time.sleep(0.05)
    finally:
        connection.close()


def main() -> None:
    try:
        purge(sys.argv[1])
    except sqlite3.Error as error:
        sys.stdout.write(f"cleaning the index failed: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
