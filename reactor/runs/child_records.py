"""What the log of a run says of its child runs: ``child.started`` and ``child.ended``, each once a child run.

``child.started`` is committed before the child run starts, ``child.ended`` before the body gets the child's outputs. So
a body that runs again gets them from the log of its own run, and the child run may be gone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import orjson

from reactor.events import drafts
from reactor.events.event import Draft
from reactor.events.state import RunState
from reactor.events.vocabulary import RUN_ENDED
from reactor.runs.outcome import cancelled, failure_of
from reactor.stream.feed import Feed


class Speaker(Protocol):
    """The task that an event is about."""

    def draft(self, type: str, data: bytes) -> Draft: ...


class Journal(Protocol):
    """Where the run writes."""

    @property
    def feed(self) -> Feed: ...
    def write(self, draft: Draft) -> None: ...
    def committed(self) -> Awaitable[None]:
        """Done when everything written so far is in the log."""
        ...


class Tasks(Protocol):
    """The tasks of the run."""

    def actor(self, task_id: str) -> Speaker: ...


class ChildEnd(NamedTuple):
    """How a child run has ended."""

    status: str
    last: Mapping[str, Any]
    """The data of its last event."""
    outputs: bytes | None
    """What is stored beside that event: outputs that are too large for it, as JSON."""
    errors: Mapping[str, Any]
    """Of its failed tasks, by task id."""
    last_seq: int


NEVER_BEGAN = ChildEnd("cancelled", {"reason": "parent"}, None, {}, 0)
"""Of a child run whose parent ended, or crashed, between ``child.started`` and the child's first event."""


class ChildRecords:
    """The records of one open run. Loop thread only."""

    def __init__(self, journal: Journal, tasks: Tasks) -> None:
        self._journal = journal
        self._feed = journal.feed
        self._tasks = tasks
        recorded = journal.feed.state.children or {}
        self._begun = {id: child["task_id"] for id, child in recorded.items() if "task_id" in child}
        """Child run -> the task that asked for it."""
        self._ids = {(child["task_id"], child["key"]): id for id, child in recorded.items() if "task_id" in child}
        """By task, and key or number."""
        self._ended = {id for id, child in recorded.items() if child.get("status") in RUN_ENDED}

    def id_of(self, task_id: str, key: str) -> str | None:
        """The id of the child run that the task has asked for by this key; None where it has not."""
        return self._ids.get((task_id, key))

    def has_begun(self, child_id: str) -> bool:
        return child_id in self._begun

    def has_ended(self, child_id: str) -> bool:
        return child_id in self._ended

    def unended(self) -> Iterator[tuple[str, str]]:
        """(task id, child run) of those whose end is not in the log."""
        return ((task_id, id) for id, task_id in self._begun.items() if id not in self._ended)

    def names(self) -> Iterator[tuple[str, str, str]]:
        """(task id, key, child run) of those whose end is not in the log."""
        return ((task_id, key, id) for (task_id, key), id in self._ids.items() if id not in self._ended)

    async def begin(self, task_id: str, child_id: str, workflow: str, key: str) -> None:
        """Writes ``child.started``, unless that was done before; returns once it is in the log."""
        if child_id not in self._begun:
            self._begun[child_id] = task_id
            self._ids[task_id, key] = child_id
            self._write(task_id, "child.started", drafts.child_started(child_id, workflow, key))
        await self._journal.committed()

    def end(self, task_id: str, child_id: str, end: ChildEnd) -> None:
        """Writes ``child.ended``, unless that was done before."""
        if child_id not in self._ended:
            self._ended.add(child_id)
            self._write(task_id, "child.ended", *drafts.child_ended(child_id, *end))

    def _write(self, task_id: str, type: str, data: bytes, blob: bytes | None = None) -> None:
        # not through the task's observer: a child run may end after the task that asked for it
        self._journal.write(self._tasks.actor(task_id).draft(type, data)._replace(blob=blob))

    async def recall(self, task_id: str, child_id: str, workflow: str | None) -> RecordedEnd | None:
        """The end of a child of this task and workflow, as the log has it; None where it has none."""
        if child_id not in self._ended:
            return None
        await self._journal.committed()
        return await recorded_end(self._feed, task_id, child_id, workflow)


class RecordedEnd:
    """The end of a child run, read from the log of its parent."""

    def __init__(self, child_id: str, data: Mapping[str, Any]) -> None:
        self.child_id = child_id
        self._data = data

    @property
    def typed(self) -> Mapping[str, Any] | None:
        """What restores outputs from their JSON, as ``run.completed`` of the child says it; None where nobody said.

        A version before 0.2 said nothing, and so does a child whose outputs are all plain JSON.
        """
        return self._data.get("typed_outputs")

    @property
    def is_whole(self) -> bool:
        """False where the child had typed outputs, and more to say of them than there is room for here."""
        return self._data.get("typed_outputs", {}) is not None

    def outputs(self) -> dict[str, Any]:
        """The outputs of the child run as JSON; raises what awaiting it would raise."""
        data = self._data
        if data["status"] == "completed":
            return data["outputs"]
        if data["status"] == "cancelled":
            raise cancelled(self.child_id, data.get("reason"))
        error: dict[str, Any] = data["error"]
        known = {error["task_id"]: {name: error[name] for name in ("type", "message")}} if "task_id" in error else {}
        raise failure_of(self.child_id, error, data.get("errors", known))


async def recorded_end(feed: Feed, task_id: str, child_id: str, workflow: str | None) -> RecordedEnd | None:
    """The end of a child run, from the feed of its parent; None where the log no longer has it."""
    child = (feed.state.children or {}).get(child_id, {})
    if child.get("task_id") != task_id or child["workflow"] != workflow or "seq" not in child:
        return None
    event = await feed.event(child["seq"])
    if event is None or event.type != "child.ended":
        return None  # a log in memory has trimmed it
    data = event.data
    if "outputs_ref" in data or "errors_ref" in data:
        data = {**data, **orjson.loads(await feed.blob(event.seq) or b"{}")}
    return RecordedEnd(child_id, data)


def end_of(state: RunState, last: Mapping[str, Any], outputs: bytes | None) -> ChildEnd:
    """The end of a run, from its state and its last event."""
    errors = {id: task.error for id, task in state.tasks.items() if task.error is not None}
    return ChildEnd(state.status, last, outputs, errors, state.seq)
