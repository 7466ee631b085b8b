"""All rows of a damaged log that can be read, whatever page they stand in.

First each tree of the file is walked, as SQLite does it. Then the pages that nothing leads to are looked at, and older
images of the bad ones: a page that leads to others may be bad, or be another one than it was. Rows are told apart by
their shape. A window is never changed, so an old copy of it is as good as a new one. Pages that are free are left out:
they may have what was deleted.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from reactor.logs.sqlite.salvage.cells import (
    INNER_INDEX,
    LEAF_INDEX,
    LEAF_TABLE,
    Cell,
    Damaged,
    Page,
    Value,
    kinds_of,
    payload,
    read_page,
    record,
)
from reactor.logs.sqlite.salvage.pages import Image, Pages

_HEAD_BYTES: Final = 256
"""More than the head of any row of a log, and the integers behind it."""
_FREE_PAGE: Final = 2
"""In the map of pages."""


class WindowRow(NamedTuple):
    """A window, whose events are read later."""

    position: int
    run: int
    first: int
    last: int
    cell: Cell


class RunRow(NamedTuple):
    """What the list of runs says."""

    id: int
    tenant: str
    run_id: str
    workflow: str
    version: str
    status: str
    created: str
    ended: str | None
    parent: str | None
    root: str
    base: bytes | None
    settled: int


class Found:
    """What was found. ``progress(done, total)`` is called now and then with numbers of pages."""

    def __init__(self, pages: Pages, progress: Callable[[int, int], None]) -> None:
        self.windows: dict[int, WindowRow] = {}
        """By position."""
        self.runs: dict[int, RunRow] = {}
        """By row id."""
        self.blobs: dict[tuple[int, int], Cell] = {}
        """By the row id of a run, and seq."""
        self.listed: dict[int, int] = {}
        """By the row id of a run: the highest seq that an index knows of."""
        self.newest_position = 0
        """That the index knows of."""
        self.meta: dict[str, str] = {}
        self.answers: list[list[Value]] = []
        self.removed: list[list[Value]] = []
        self.sequences: dict[str, int] = {}
        self.bad_pages: set[int] = set()
        self.is_damaged = bool(pages.bad_frames) or not pages.has_header
        """Whether anything of the file cannot be read."""
        self._pages = pages
        self._progress = progress
        self._visited: set[int] = set()
        self._damaged_trees: set[str] = set()
        self._walk_all()
        self._look_everywhere()

    # --- the trees ---

    def _walk_all(self) -> None:
        roots: dict[str, int] = {}
        self._walk("schema", 1, lambda page, cell: self._take_root(cell, roots))
        for name, root in roots.items():
            self._walk(name, root, self._take)

    def _take_root(self, cell: Cell, roots: dict[str, int]) -> None:
        values = record(payload(self._pages, cell))
        if len(values) != 5 or not isinstance(values[3], int):
            raise Damaged("page 1 does not list tables")
        if values[3]:  # a trigger has no pages
            roots[str(values[1])] = values[3]

    def removed_at(self, name: tuple[str, str]) -> int:
        """The last position of a run, by tenant and run id, that was deleted; 0 for one that was not."""
        positions = [row[1] for row in self.removed if (row[2], row[3]) == name]
        return max((position for position in positions if isinstance(position, int)), default=0)

    @property
    def may_miss_windows(self) -> bool:
        """Whether there may have been windows that nothing in the file tells of any more."""
        trees = self._damaged_trees
        return bool(self._pages.bad_frames) or "schema" in trees or trees >= {"windows", "windows_by_seq"}

    def _walk(self, tree: str, root: int, take: Callable[[Page, Cell], None]) -> None:
        waiting = [root]
        while waiting:
            number = waiting.pop()
            if number in self._visited or not 0 < number <= self._pages.count:
                self._is_bad(tree, number)
                continue
            self._visited.add(number)
            if len(self._visited) % 1000 == 0:
                self._progress(len(self._visited), self._pages.count)
            try:
                page = read_page(self._pages, number, self._pages.newest(number))
            except Damaged:
                self._is_bad(tree, number)
                continue
            if not page.is_whole:
                self._is_bad(tree, number)
            waiting += reversed(page.children)
            for cell in page.cells:
                try:
                    take(page, cell)
                except Damaged:
                    self._is_bad(tree, number)

    def _is_bad(self, tree: str, number: int) -> None:
        self.is_damaged = True
        self._damaged_trees.add(tree)
        self.bad_pages.add(number)

    # --- what no tree leads to ---

    def _look_everywhere(self) -> None:
        for number in sorted(self.bad_pages):
            for image in self._pages.older(number):
                self._look_at(number, image)
        free = self._free_pages()
        for number in range(1, self._pages.count + 1):
            if number % 1000 == 0:
                self._progress(number, self._pages.count)
            if number not in self._visited and number not in free and not self._is_free(number):
                self._look_at(number, self._pages.newest(number))

    def _look_at(self, number: int, image: Image) -> None:
        try:
            page = read_page(self._pages, number, image)
        except Damaged:
            return
        windows, entries = len(self.windows), len(self.listed)
        for cell in page.cells:
            try:
                self._take(page, cell)
            except Damaged:
                continue
        if len(self.windows) > windows:
            self.is_damaged = True
            self._damaged_trees.add("windows")
        if len(self.listed) > entries:
            self._damaged_trees.add("windows_by_seq")

    def _free_pages(self) -> set[int]:
        free: set[int] = set()
        if not self._pages.has_header:
            return free
        (trunk,) = struct.unpack_from(">I", self._pages.read(self._pages.newest(1)), 32)
        while 0 < trunk <= self._pages.count and trunk not in free:
            free.add(trunk)
            data = self._pages.read(self._pages.newest(trunk))
            trunk, count = struct.unpack_from(">2I", data)
            if count <= self._pages.usable // 4 - 2:
                free |= set(struct.unpack_from(f">{count}I", data, 8))
        return free

    def _is_free(self, number: int) -> bool:
        """As the map of pages says, which files have that give space back."""
        each = self._pages.usable // 5 + 1
        place = (number - 2) // each * each + 2
        if number <= 2 or number == place:
            return False
        entry = self._pages.read(self._pages.newest(place))[5 * (number - place - 1) :][:1]
        return entry == bytes([_FREE_PAGE])

    # --- rows ---

    def _take(self, page: Page, cell: Cell) -> None:
        """Takes a row of a log; raises Damaged for one that is none."""
        head = payload(self._pages, cell, _HEAD_BYTES)
        kinds, _ = kinds_of(head)
        if page.kind == LEAF_TABLE:
            self._take_row(cell, head, "".join(map(_letter, kinds)))
        elif page.kind in (LEAF_INDEX, INNER_INDEX):
            self._take_entry(cell, head, "".join(map(_letter, kinds)))

    def _take_row(self, cell: Cell, head: bytes, shape: str) -> None:
        if shape in ("niiib", "niiibi", "niiibn"):
            _, run, first, last = record(head, 4)
            if not (isinstance(run, int) and isinstance(first, int) and isinstance(last, int) and 0 < first <= last):
                raise Damaged("a window has no place")
            self.windows.setdefault(cell.rowid, WindowRow(cell.rowid, run, first, last, cell))
        elif len(shape) in (11, 12, 15) and shape.startswith("nttttt"):
            self._take_run(cell, shape)
        elif len(shape) == 8 and shape.startswith("ntttt"):
            self._take_old_run(cell)
        elif shape in ("nittitn", "nittitt"):
            self.removed.append([cell.rowid, *record(payload(self._pages, cell))[1:]])
        elif shape == "ntttbt":
            self.answers.append([cell.rowid, *record(payload(self._pages, cell))[1:]])
        elif shape == "ti":
            name, number = record(head)
            if isinstance(name, str) and isinstance(number, int):
                self.sequences[name] = max(number, self.sequences.get(name, 0))

    def _take_run(self, cell: Cell, shape: str) -> None:
        values = record(payload(self._pages, cell))
        if shape[10] not in "nb" or not values[2]:
            raise Damaged("a run has no id")
        row = RunRow(cell.rowid, *values[1:12], *([0] if len(values) == 11 else []))  # type: ignore[arg-type]
        self.runs.setdefault(cell.rowid, row)

    def _take_old_run(self, cell: Cell) -> None:
        """Of a file that no engine has opened since runs have tenants and parents: their events say which."""
        _, run_id, workflow, version, status, created, ended, base = record(payload(self._pages, cell))
        row = RunRow(cell.rowid, "", run_id, workflow, version, status, created, ended, None, run_id, base, 0)  # type: ignore[arg-type]
        self.runs.setdefault(cell.rowid, row)

    def _take_entry(self, cell: Cell, head: bytes, shape: str) -> None:
        if shape == "iib":
            run, seq = record(head, 2)
            if isinstance(run, int) and isinstance(seq, int):
                self.blobs.setdefault((run, seq), cell)
        elif shape == "iiii":
            run, last, _, position = record(head)
            if isinstance(run, int) and isinstance(last, int) and isinstance(position, int):
                self.listed[run] = max(last, self.listed.get(run, 0))
                self.newest_position = max(position, self.newest_position)
        elif shape == "tt":
            name, value = record(payload(self._pages, cell))
            if isinstance(name, str) and isinstance(value, str):
                self.meta.setdefault(name, value)


def _letter(kind: int) -> str:
    """Of a serial type: n for NULL, i for an integer, r for a real, t for text, b for bytes."""
    if kind < 12:
        return "niiiiiiriixx"[kind]
    return "t" if kind & 1 else "b"
