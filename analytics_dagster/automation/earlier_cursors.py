"""Compares the files of a table with the listing in a cursor of the landing sensor that an earlier version stored.

Version 2 stored a hash of the listing. Version 1 (release 0.1.0) stored an invertible Bloom lookup table: for each
file, its id was added to three of 144 cells. The same files make the same cells.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from hashlib import blake2b

from analytics_dagster.ingestion.landing import LandedFile

_ROWS, _CELLS_A_ROW = 3, 48
_CELL = struct.Struct("<iQI")
_PLACES = struct.Struct("<3HI")


def is_unchanged(listing: str, files: Sequence[LandedFile]) -> bool:
    """Return whether a table has the same versions of the same files as in an earlier cursor's listing."""
    try:
        return listing == _hash(files) or zlib.decompress(base64.b64decode(listing, validate=True)) == _cells(files)
    except (ValueError, zlib.error):
        return False


def _hash(files: Sequence[LandedFile]) -> str:
    lines = sorted(repr((file.path, file.size, file.modified.timestamp())) for file in files)
    return blake2b("\n".join(lines).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _cells(files: Sequence[LandedFile]) -> bytes:
    cells = [(0, 0, 0)] * (_ROWS * _CELLS_A_ROW)
    for file in files:
        text = f"{file.path}\0{file.size}\0{file.modified.timestamp()}"
        one = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        *places, check = _PLACES.unpack(blake2b(one, digest_size=_PLACES.size, person=b"places").digest())
        for row, place in enumerate(places):
            at = row * _CELLS_A_ROW + place % _CELLS_A_ROW
            count, keys, checks = cells[at]
            cells[at] = count + 1, keys ^ int.from_bytes(one, "little"), checks ^ check
    return b"".join(_CELL.pack(*cell) for cell in cells)
