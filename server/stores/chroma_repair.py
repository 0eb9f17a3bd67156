"""Run as a script on a Chroma folder that no process has open: drops vector indexes that a kill left half-written.

Chroma writes the files of a vector index in place, `index_metadata.pickle` last; reading torn ones may end the process,
at once or in a later write. So an index goes when
* one of its files is newer than its `index_metadata.pickle`: the write did not come to its end;
* a search of it fails, or ends the child that tries it: another damage, as by a power cut;
* the run after such a check was killed as well (`--all`): every one goes, so that nothing can keep the server down.

Chroma builds a dropped index anew from what comes. The records stay: they lie in SQLite.
"""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

ALL = "--all"
SEARCH = "--search"
SEARCH_SECONDS = 60.0
LAST_WRITTEN = "index_metadata.pickle"


def main() -> None:
    option, folder = sys.argv[1], Path(sys.argv[-1])
    if option == SEARCH:
        _search(folder)
        return
    for index in _indexes(folder).values():
        if option == ALL or _torn(index):
            _drop(index)
    while (collection := _failing_collection(folder)) is not None:
        index = _indexes(folder).get(collection)
        if index is None:
            sys.stdout.write("its database cannot be read\n")
            sys.exit(1)
        _drop(index)


def _indexes(folder: Path) -> dict[str, Path]:
    """The folder of each collection's vector index, where it has one."""
    connection = sqlite3.connect(folder / "chroma.sqlite3")
    try:
        rows = connection.execute("SELECT collection, id FROM segments WHERE scope = 'VECTOR'").fetchall()
    except sqlite3.Error as error:
        sys.stdout.write(f"{error}\n")
        sys.exit(1)
    finally:
        connection.close()
    return {collection: folder / segment for collection, segment in rows if (folder / segment).is_dir()}


def _torn(index: Path) -> bool:
    last = index / LAST_WRITTEN
    others = [path.stat().st_mtime_ns for path in index.iterdir() if path != last]
    return bool(others) and (not last.exists() or max(others) > last.stat().st_mtime_ns)


def _drop(index: Path) -> None:
    shutil.rmtree(index)
    sys.stdout.write(f"dropped the damaged vector index {index.name}\n")


def _failing_collection(folder: Path) -> str | None:
    """The collection in whose search a child failed, "" when it failed before the first, None when none did."""
    try:
        done = subprocess.run(  # noqa: S603 - this same script
            [sys.executable, "-P", __file__, SEARCH, str(folder)],
            capture_output=True,
            timeout=SEARCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        lines = (error.stdout or b"").decode().split()
        return lines[-1] if lines else ""
    if done.returncode == 0:
        return None
    lines = done.stdout.decode().split()
    return lines[-1] if lines else ""


def _search(folder: Path) -> None:
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


if __name__ == "__main__":
    main()
