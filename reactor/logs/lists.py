"""The list of runs of the log in memory: sorted numbers of runs under all that they are found by.

A page walks down the shortest of the lists that it asks for, so it does not look at all runs.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, Final, TypeAlias, Unpack

from reactor.events.state import RUN_ENDED
from reactor.logs.listing import micros
from reactor.logs.stored_run import StoredRun
from reactor.ports.index import RunFilter

_Name: TypeAlias = tuple[str, ...]
"""Of a list: the tenant, what it is about, and the value."""

_EQUAL: Final = ("status", "workflow", "parent", "root")


class Lists:
    """The runs of one log, of all tenants."""

    def __init__(self) -> None:
        self._runs: dict[int, StoredRun] = {}
        """By their numbers, which they have in the order in which they began."""
        self._numbers = array("q")
        self._latest = array("q")
        """Beside each number the newest time of all runs up to it, as ``listing`` says."""
        self._late = 0
        """Microseconds by which any run was late."""
        self._lists: dict[_Name, array[int]] = {}

    def add(self, run: StoredRun) -> None:
        """Lists a run that has begun."""
        run.number = self._numbers[-1] + 1 if self._numbers else 1
        latest = max(run.began or 0, self._latest[-1] if self._latest else 0)
        if run.began is not None:
            self._late = max(self._late, latest - run.began)
        self._numbers.append(run.number)
        self._latest.append(latest)
        self._runs[run.number] = run
        self.update(run)

    def update(self, run: StoredRun) -> None:
        """Lists a run under what is true of it now."""
        names = _names_of(run)
        self._leave(run, run.listed - names)
        for name in names - run.listed:
            numbers = self._lists.setdefault(name, array("q"))
            numbers.insert(bisect_left(numbers, run.number), run.number)
        run.listed = names

    def remove(self, run: StoredRun) -> None:
        """Takes a run off all lists."""
        self._leave(run, run.listed)
        at = bisect_left(self._numbers, run.number)
        del self._numbers[at], self._latest[at], self._runs[run.number]

    def _leave(self, run: StoredRun, names: frozenset[_Name]) -> None:
        for name in names:
            numbers = self._lists[name]
            del numbers[bisect_left(numbers, run.number)]
            if not numbers:
                del self._lists[name]

    def find(self, tenant: str, below: int | None, **wanted: Unpack[RunFilter]) -> Iterator[StoredRun]:
        """The runs of a tenant that are wanted, newest first, with numbers below this one."""
        names = _names_wanted(tenant, wanted)
        lists = [self._lists.get(name, _NOBODY) for name in names]
        shortest = min(lists, key=len)
        since, until = wanted.get("since"), wanted.get("until")
        first = 0 if since is None else micros(since)
        end = None if until is None else micros(until)
        low, high = self._span(first, end)
        start = bisect_left(shortest, high if below is None else min(high, below))
        asked, at_any_time = frozenset(names), since is None and until is None
        for at in range(start - 1, bisect_left(shortest, low) - 1, -1):
            run = self._runs[shortest[at]]
            if asked <= run.listed and (at_any_time or _is_between(run, first, end)):
                yield run

    def _span(self, first: int, end: int | None) -> tuple[int, int]:
        """Which numbers runs may have that have begun in this span of time: from the first, below the second."""
        above = self._numbers[-1] + 1 if self._numbers else 0
        low = bisect_left(self._latest, first)
        high = len(self._latest) if end is None else bisect_left(self._latest, end + self._late)
        return (
            self._numbers[low] if low < len(self._numbers) else above,
            self._numbers[high] if high < len(self._numbers) else above,
        )


_NOBODY: Final = array("q")


def _is_between(run: StoredRun, first: int, end: int | None) -> bool:
    return run.began is not None and first <= run.began and (end is None or run.began < end)


def _names_of(run: StoredRun) -> frozenset[_Name]:
    tenant = run.tenant
    names: list[_Name] = [
        (tenant,),
        (tenant, "status", run.status),
        (tenant, "workflow", run.workflow),
        (tenant, "root", run.root),
        *((tenant, "meta", name, text) for name, text in run.meta),
    ]
    if run.parent is not None:
        names.append((tenant, "parent", run.parent))
    if run.status not in RUN_ENDED:
        names.append((tenant, "open"))
        if run.questions:
            names.append((tenant, "question"))
    return frozenset(names)


def _names_wanted(tenant: str, wanted: RunFilter) -> list[_Name]:
    given: dict[str, Any] = {**wanted}
    names: list[_Name] = [(tenant,)]
    names += [(tenant, about, given[about]) for about in _EQUAL if given.get(about) is not None]
    names += [(tenant, "meta", name, text) for name, text in (wanted.get("meta") or {}).items()]
    names += [(tenant, about) for about in ("open", "question") if given.get(about)]
    return names
