"""Run as a script on a Chroma folder that no process has open: drops vector indexes that a kill left half-written.

Chroma writes the files of a vector index in place. Reading a torn one may end the process, so a child touches each
shard; the one at which it dies loses its index folder, and Chroma builds that anew from what comes. The records stay:
they lie in SQLite.
"""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

TOUCH = "--touch"
PROBE_SECONDS = 60.0


def main() -> None:
    folder = Path(sys.argv[-1])
    if sys.argv[1] == TOUCH:
        _touch(folder)
        return
    for _ in range(200):  # each round takes away one damaged index; there are at most 64 shards a generation
        failed = _failing_collection(folder)
        if failed is None:
            return
        dropped = _drop_index(folder, failed)
        if not dropped:
            sys.stdout.write("its database cannot be read\n")
            sys.exit(1)
        sys.stdout.write(f"dropped the damaged vector index of collection {failed}\n")
    sys.exit(1)


def _failing_collection(folder: Path) -> str | None:
    """The collection at whose touch a child failed, "" when it failed before the first, None when none did."""
    try:
        done = subprocess.run(  # noqa: S603 - this same script
            [sys.executable, "-P", __file__, TOUCH, str(folder)],
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        lines = (error.stdout or b"").decode().split()
        return lines[-1] if lines else ""
    if done.returncode == 0:
        return None
    lines = done.stdout.decode().split()
    return lines[-1] if lines else ""


def _touch(folder: Path) -> None:
    """Searches every vector index, saying before each which one it is."""
    import chromadb
    from chromadb.config import Settings

    client = chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))
    for collection in client.list_collections():
        sys.stdout.write(f"{collection.id}\n")
        sys.stdout.flush()
        dim = json.loads((collection.metadata or {}).get("vestige", "{}")).get("dim")
        if dim and collection.count():
            collection.query(query_embeddings=[[1.0] + [0.0] * (dim - 1)], n_results=100, include=["distances"])


def _drop_index(folder: Path, collection: str) -> bool:
    connection = sqlite3.connect(folder / "chroma.sqlite3")
    try:
        row = connection.execute(
            "SELECT id FROM segments WHERE scope = 'VECTOR' AND collection = ?", (collection,)
        ).fetchone()
        if row is None or not (folder / row[0]).is_dir():
            return False
        shutil.rmtree(folder / row[0])
    finally:
        connection.close()
    return True


if __name__ == "__main__":
    main()
