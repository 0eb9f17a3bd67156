"""CHARX: a zip with `card.json` and pictures. Two members are read, into memory, and nothing is unpacked.

Character Card V3 specification, "CHARX".
"""

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass

from server.catalog.limits import CARD_BYTES, FILE_BYTES, ZIP_DIRECTORY_BYTES
from server.errors import InvalidCard

SIGNATURE = b"PK\x03\x04"
_END = b"PK\x05\x06"
_ZIP64 = b"PK\x06\x07"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True, slots=True)
class Charx:
    """An opened archive, by the names in its directory."""

    archive: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]

    def card(self) -> bytes:
        """`card.json`.

        Raises:
            InvalidCard: missing, too long, encrypted or damaged.
        """
        data = self._read("card.json", CARD_BYTES)
        if data is None:
            raise InvalidCard("The .charx has no card.json in it.")
        return data

    def asset(self, path: str) -> bytes | None:
        """The member with exactly this name, at most 10 MB; None where there is none.

        Raises:
            InvalidCard: too long, encrypted or damaged.
        """
        return self._read(path, FILE_BYTES)

    def others(self, kept: int) -> int:
        """How many files there are beside `card.json` and the `kept` ones."""
        return sum(1 for name in self.members if not name.endswith("/")) - 1 - kept

    def _read(self, name: str, limit: int) -> bytes | None:
        info = self.members.get(name)
        if info is None:
            return None
        if info.flag_bits & 1:
            raise InvalidCard("The .charx is encrypted: save it without a password.")
        if info.compress_type not in _METHODS:
            raise InvalidCard("The .charx is compressed in an unusual way: save it again as an ordinary zip.")
        try:
            with self.archive.open(info) as member:
                data = member.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError):
            raise InvalidCard("The .charx is damaged. Download or export it again.") from None
        if len(data) > limit:
            raise InvalidCard(f"A file in the .charx is too large: more than {limit:,} bytes.")
        return data


def open_charx(data: bytes) -> Charx:
    """The archive in `data`.

    Raises:
        InvalidCard: not a zip, damaged, or with too many files.
    """
    end = data.rfind(_END, max(0, len(data) - 65_557))  # the longest comment a zip can have, and the record itself
    if end < 0 or len(data) - end < 22:
        raise InvalidCard("The .charx is damaged: its end is missing. Download or export it again.")
    (directory_bytes,) = struct.unpack_from("<I", data, end + 12)
    # zipfile reads the whole directory at once; a zip64 locator there would override the size checked here.
    if directory_bytes > ZIP_DIRECTORY_BYTES or _ZIP64 in data[max(0, end - 20) : end]:
        raise InvalidCard("The .charx has too many files in it.")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error):
        raise InvalidCard("The .charx is damaged: it is not a readable zip. Download or export it again.") from None
    return Charx(archive, {info.filename: info for info in archive.infolist()})
