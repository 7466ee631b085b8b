"""The open questions of all runs, page by page: the newest run first, and of a run what was asked last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from heapq import nlargest
from typing import Any, Final, NamedTuple, Self, TypeVar

from reactor.errors import UnknownRun
from reactor.events.event import Event
from reactor.events.questions import asked_at, open_questions
from reactor.ports.log import RunRecord
from reactor.requests import check_listing
from reactor.runs.open_runs import OpenRuns
from reactor.stream.checkpoints import load_state
from reactor.stream.picked import pick

K = TypeVar("K")
V = TypeVar("V")

LOOKED_AT: Final = 10_000
"""Runs that one page looks at; the next page goes on from there."""
_AT_ONCE: Final = 10
"""Runs that are read together: all of the states are in memory then."""
_MANY_TASKS: Final = 1_000
"""After a run with so many others get their turn."""

_KEPT_RUNS: Final = 1_000
_KEPT_QUESTIONS: Final = 20
"""Of a run that is kept; one that asks more is read again."""
_KEPT_TIMES: Final = 10_000

_Asked = list[tuple[int, dict[str, Any]]]
"""The open questions of a run, each with its seq."""
Admits = Callable[[str, str], bool]
"""Whether a run may be seen, by its id and the name of its workflow."""


class OpenQuestion(NamedTuple):
    """A question that nobody has answered yet."""

    run_id: str
    """The run whose task asks: who answers sends to this run."""
    workflow: str
    root: str
    """The run at the top of its tree; its own id for a run without a parent."""
    task_id: str
    key: str | None
    prompt: Any
    schema: dict[str, Any] | None
    """The JSON Schema of the answer; None: any value."""
    expires: str | None
    """When nobody can answer any more; None: never."""
    seq: int
    """Of the ``task.waiting`` that asks."""
    since: str | None
    """The time of that event; None where the log does not have it any more."""


class QuestionPage(NamedTuple):
    """Some of them."""

    questions: list[OpenQuestion]
    cursor: str | None
    """``before=`` of the next page; None on the last one."""


class QuestionPlace(NamedTuple):
    """Where a page ends: behind a question of a run, or behind all of its questions."""

    run_id: str
    seq: int = 0
    """Of the question; 0: behind all."""

    @classmethod
    def of(cls, text: str) -> Self:
        """The place of a ``cursor``; raises ValueError for what is none."""
        run_id, _, seq = text.rpartition("/")
        if not run_id or not (seq.isascii() and seq.isdigit()) or len(seq) > 18:
            raise ValueError(f"{text[:100]!r} is not the cursor of a page of questions")
        return cls(run_id, int(seq))

    def __str__(self) -> str:
        return f"{self.run_id}/{self.seq}"


class KeptQuestions:
    """What was read from the log before, for the next page, or for the same one again."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str, int], _Asked] = {}
        """By id, beginning and last seq: what a run asks does not change before its next event."""
        self._times: dict[tuple[str, str, int], str] = {}

    def of_run(self, record: RunRecord) -> _Asked | None:
        return self._runs.get((record.run_id, record.created, record.last_seq))

    def keep_run(self, record: RunRecord, asked: _Asked) -> None:
        if len(asked) <= _KEPT_QUESTIONS:
            _keep(self._runs, (record.run_id, record.created, record.last_seq), asked, _KEPT_RUNS)

    def time(self, record: RunRecord, seq: int) -> str | None:
        return self._times.get((record.run_id, record.created, seq))

    def keep_time(self, record: RunRecord, seq: int, time: str) -> None:
        _keep(self._times, (record.run_id, record.created, seq), time, _KEPT_TIMES)


def _keep(kept: dict[K, V], key: K, value: V, most: int) -> None:
    """The oldest go first."""
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]


class AskedIn:
    """What is asked in the runs of one tenant that have this workflow and these members of meta."""

    def __init__(
        self,
        runs: OpenRuns,
        kept: KeptQuestions,
        workflow: str | None = None,
        meta: Mapping[str, str] | None = None,
        admits: Admits | None = None,
    ) -> None:
        self._runs, self._kept = runs, kept
        self._workflow, self._meta = workflow, meta
        self._admits = admits

    async def page(self, before: str | None, limit: int) -> QuestionPage:
        """Raises ValueError for a ``before`` that is no cursor, UnknownRun where its run is gone."""
        check_listing(None, limit, meta=self._meta)
        place = None if before is None else QuestionPlace.of(before)
        found: list[OpenQuestion] = []
        if place is not None and place.seq:
            record = await self._runs.index.record(place.run_id)
            found += await self._of_run(record, limit, below=place.seq)
        at, looked_at = None if place is None else place.run_id, 0
        while len(found) <= limit:
            if looked_at >= LOOKED_AT and at is not None:
                return QuestionPage(found, str(QuestionPlace(at)))
            records = await self._runs.index.records(
                before=at, limit=limit, workflow=self._workflow, meta=self._meta, question=True
            )
            for first in range(0, len(records), _AT_ONCE):
                some = records[first : first + _AT_ONCE]
                for asked in await asyncio.gather(*(self._of_run(record, limit) for record in some)):
                    found += asked
                if len(found) > limit:
                    break
            looked_at += len(records)
            if len(found) <= limit and len(records) < limit:
                return QuestionPage(found, None)
            at = records[-1].run_id
        last = found[limit - 1]
        return QuestionPage(found[:limit], str(QuestionPlace(last.run_id, last.seq)))

    async def _of_run(self, record: RunRecord, limit: int, *, below: int | None = None) -> list[OpenQuestion]:
        """What is asked in a run, the last first: one more than ``limit`` at most, before the event ``below``."""
        run_id = record.run_id
        if self._admits is not None and not self._admits(run_id, record.workflow):
            return []
        try:
            seqs = await self._asked(record)
            last = nlargest(limit + 1, (one for one in seqs if below is None or one[0] < below), key=lambda one: one[0])
            times = await self._times(record, [seq for seq, _ in last])
        except UnknownRun:  # it has ended and was deleted meanwhile
            return []
        return [
            OpenQuestion(
                run_id, record.workflow, record.root, question["task_id"], question["key"], question["prompt"],
                question["schema"], question.get("expires"), seq, times.get(seq),
            )
            for seq, question in last
        ]  # fmt: skip

    async def _asked(self, record: RunRecord) -> _Asked:
        """Of a run that is open or followed here as its state is; of any other from the log, without following it."""
        run = self._runs.open.get(record.run_id)
        feed = self._runs.elsewhere.get(record.run_id) if run is None else run.feed
        known = self._kept.of_run(record) if feed is None else None
        if known is not None:
            return known
        log, checkpoints = self._runs.log, self._runs.checkpoints
        state = await load_state(log, checkpoints, record.run_id) if feed is None else feed.state
        asked = [(asked_at(state, question), question) for question in open_questions(state)]
        if feed is None and state.seq == record.last_seq:
            self._kept.keep_run(record, asked)
        if len(state.tasks) > _MANY_TASKS:
            await asyncio.sleep(0)
        return asked

    async def _times(self, record: RunRecord, seqs: list[int]) -> dict[int, str]:
        async def read(after: int, limit: int) -> list[Event]:
            return await self._runs.log.read(record.run_id, after, limit)

        known = {seq: time for seq in seqs if (time := self._kept.time(record, seq)) is not None}
        async for event in pick(read, [seq for seq in seqs if seq not in known]):
            known[event.seq] = event.time
            self._kept.keep_time(record, event.seq, event.time)
        return known
