"""`sources.csv` beside the folders: where each picture is from, and under which licence."""

import csv
from pathlib import Path

from server.training.findings import TrainingError

FILE = "sources.csv"
COLUMNS = ("file", "source", "licence", "note")
MAX_BYTES = 4 << 20


def read_sources(folder: Path) -> dict[str, dict[str, str]]:
    """File name (as `10_name/001.png`, or bare) → its row; empty where there is no such file.

    Raises:
        TrainingError: it cannot be read, or lacks the columns `file` and `source`.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TrainingError(f"{path} is larger than {MAX_BYTES >> 20} MB.")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{path} cannot be read as CSV in UTF-8: {error}.") from None
    if rows and not {"file", "source"} <= set(rows[0]):
        raise TrainingError(f"{path} needs the columns {', '.join(COLUMNS)} in its first line.")
    return {
        (row["file"] or "").strip().replace("\\", "/"): {name: (row.get(name) or "").strip() for name in COLUMNS[1:]}
        for row in rows
        if (row["file"] or "").strip()
    }
