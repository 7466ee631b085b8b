"""What stands in one page of a b-tree: the rows of a leaf, the children of an interior page.

Nothing here trusts what it reads. A cell that cannot be read is left out, and the page says so.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from reactor.logs.sqlite.salvage.pages import Image, Pages

LEAF_TABLE, LEAF_INDEX = 0x0D, 0x0A
INNER_TABLE, INNER_INDEX = 0x05, 0x02
_KINDS: Final = (LEAF_TABLE, LEAF_INDEX, INNER_TABLE, INNER_INDEX)
_LARGEST: Final = 2**31 - 1
"""Bytes of a payload, as SQLite allows them."""

Value = int | float | str | bytes | None


class Damaged(Exception):
    """Something cannot be read. Never leaves ``salvage``."""


@dataclass(slots=True)
class Cell:
    """One entry: the row of a table, or of an index."""

    image: Image
    payload_size: int
    start: int
    """Where its payload begins in the page."""
    local: int
    """How many bytes of it stand in the page."""
    rowid: int = 0
    overflow: int = 0
    """The page where it goes on; 0 for none."""


@dataclass(slots=True)
class Page:
    """A page that is one of a b-tree."""

    kind: int
    cells: list[Cell] = field(default_factory=list[Cell])
    children: list[int] = field(default_factory=list[int])
    is_whole: bool = True
    """Whether all of its cells could be read."""


def read_page(pages: Pages, number: int, image: Image) -> Page:
    """Raises Damaged for what is no page of a b-tree."""
    data = pages.read(image)
    head = 100 if number == 1 else 0
    kind = data[head]
    if kind not in _KINDS:
        raise Damaged(f"page {number} is no page of a table")
    page = Page(kind)
    (count,) = struct.unpack_from(">H", data, head + 3)
    is_inner = kind in (INNER_TABLE, INNER_INDEX)
    first = head + (12 if is_inner else 8)
    if first + 2 * count > pages.usable:
        raise Damaged(f"page {number} says that it has {count} cells")
    for position in struct.unpack_from(f">{count}H", data, first):
        try:
            if not first + 2 * count <= position < pages.usable:
                raise Damaged
            _read_cell(pages, page, data, position, image)
        except (Damaged, IndexError, struct.error):
            page.is_whole = False
    if is_inner:
        page.children.append(struct.unpack_from(">I", data, head + 8)[0])
    return page


def _read_cell(pages: Pages, page: Page, data: bytes, position: int, image: Image) -> None:
    at = position
    if page.kind in (INNER_TABLE, INNER_INDEX):
        page.children.append(struct.unpack_from(">I", data, at)[0])
        at += 4
    if page.kind == INNER_TABLE:
        return  # the rest is a rowid
    size, at = varint(data, at)
    rowid = 0
    if page.kind == LEAF_TABLE:
        rowid, at = varint(data, at)
    if size > _LARGEST:
        raise Damaged
    local = _local(size, pages.usable, is_table=page.kind == LEAF_TABLE)
    overflow = 0
    if local < size:
        (overflow,) = struct.unpack_from(">I", data, at + local)
    if at + local > pages.usable:
        raise Damaged
    page.cells.append(Cell(image, size, at, local, rowid, overflow))


def _local(size: int, usable: int, *, is_table: bool) -> int:
    """How many bytes of a payload stand in the page itself."""
    most = usable - 35 if is_table else (usable - 12) * 64 // 255 - 23
    if size <= most:
        return size
    least = (usable - 12) * 32 // 255 - 23
    local = least + (size - least) % (usable - 4)
    return local if local <= most else least


def payload(pages: Pages, cell: Cell, most: int | None = None) -> bytes:
    """The bytes of a cell, or the first ``most`` of them; raises Damaged where the chain of its pages is broken."""
    data = pages.read(cell.image)[cell.start : cell.start + cell.local]
    wanted = cell.payload_size if most is None else min(most, cell.payload_size)
    parts, have, number = [data], len(data), cell.overflow
    while have < wanted:
        if not 1 < number <= pages.count:
            raise Damaged(f"a row goes on in page {number}, which there is not")
        more = pages.read(pages.newest(number))
        (number,) = struct.unpack_from(">I", more)
        parts.append(more[4 : min(pages.usable, 4 + cell.payload_size - have)])
        have += len(parts[-1])
    return b"".join(parts)[:wanted]


def record(data: bytes, columns: int | None = None) -> list[Value]:
    """The values of a record, or the first ``columns`` of them; raises Damaged.

    ``data`` may end behind the values that are asked for.
    """
    try:
        kinds, at = kinds_of(data)
        values: list[Value] = []
        for kind in kinds[:columns]:
            value, at = _value(data, at, kind)
            values.append(value)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise Damaged("a row cannot be read") from error
    return values


def kinds_of(data: bytes) -> tuple[list[int], int]:
    """The serial types of the values of a record, and where the values begin; raises Damaged."""
    try:
        size, at = varint(data, 0)
        kinds: list[int] = []
        while at < size:
            kind, at = varint(data, at)
            kinds.append(kind)
    except IndexError as error:
        raise Damaged("a row cannot be read") from error
    if at != size:
        raise Damaged("a row cannot be read")
    return kinds, at


_INTEGERS: Final = (0, 1, 2, 3, 4, 6, 8)
"""By serial type 1 to 6: the bytes of an integer."""


def _value(data: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind in (10, 11):
        raise Damaged
    length = _INTEGERS[kind] if kind <= 6 else 8 if kind == 7 else (kind - 12) // 2
    raw = data[at : at + length]
    if len(raw) < length:
        raise Damaged
    if kind <= 6:
        return int.from_bytes(raw, signed=True), at + length
    if kind == 7:
        return struct.unpack(">d", raw)[0], at + length
    return (raw.decode() if kind & 1 else raw), at + length


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of 1 to 9 bytes, and where it ends."""
    value = 0
    for i in range(8):
        byte = data[at + i]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + i + 1
    value = value << 8 | data[at + 8]
    return value - 2**64 if value >= 2**63 else value, at + 9
