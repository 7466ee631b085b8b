"""The list of runs, and taking runs or the oldest events of one away."""

from __future__ import annotations

from typing import Any, Final, Unpack

import orjson

from reactor import bounds
from reactor.errors import UnknownRun
from reactor.events.fold import evolve
from reactor.events.state import RunState
from reactor.logs.listing import member_digest, micros
from reactor.logs.records import still_open
from reactor.logs.redis.calls import Calls
from reactor.logs.redis.windows import events_of
from reactor.logs.redis.wire import Part
from reactor.ports.index import RunFilter
from reactor.ports.log import RunRecord

SCAN: Final = 1_000
"""Runs, or windows, that one call looks at: so long do others wait."""


def record_of(values: list[bytes]) -> RunRecord:
    """The record that ``record_of`` of ``index.lua`` answers."""
    run_id, workflow, version, status, created, first, last, parent, root, position, _, tenant = map(
        bytes.decode, values
    )
    family = (parent or None, root)
    return RunRecord(run_id, workflow, version, status, created, int(first), int(last), *family, int(position), tenant)


async def read_record(calls: Calls, run_id: str, tenant: str) -> RunRecord:
    """Raises UnknownRun."""
    values = await calls.read("record", tenant, run_id)
    if values is None:
        raise UnknownRun.of(run_id)
    return record_of(values)


async def list_records(
    calls: Calls, *, before: str | None, limit: int, tenant: str, **wanted: Unpack[RunFilter]
) -> list[RunRecord]:
    """The runs that are wanted, newest first; raises UnknownRun for a ``before`` that there is not."""
    given: dict[str, Any] = {**wanted}
    equal = [given.get(name) for name in ("status", "workflow", "parent", "root")]
    if "" in equal:
        return []  # no run has an empty name of this kind
    span = ["" if (time := given.get(name)) is None else str(micros(time)) for name in ("since", "until")]
    meta = [member_digest(*member) for member in (wanted.get("meta") or {}).items()]
    asking, is_open = ("1" if given.get(name) else "" for name in ("question", "open"))
    asked: list[Part] = [*(value or "" for value in equal), asking, *span, is_open, *meta]
    below: Any = "+inf"
    if before is not None:
        below = await calls.read_of(before, tenant, "field", "number")
    found: list[RunRecord] = []
    while below and len(found) < limit:
        below, *page = await calls.read("records", tenant, below, limit - len(found), SCAN, *asked)
        found += map(record_of, page)
    return found


async def list_unfinished(calls: Calls) -> list[RunRecord]:
    """Those of all tenants, the oldest first."""
    found: list[RunRecord] = []
    above: Any = "-inf"
    while above:
        above, *page = await calls.read("unfinished", above, SCAN)
        found += map(record_of, page)
    return found


async def delete(calls: Calls, run_id: str, tenant: str) -> None:
    """Raises UnknownRun and RunOpen."""
    answer = await calls.write("delete", tenant, run_id, bounds.REMOVED_RUNS, repeats=False)
    if answer != b"OK":
        raise UnknownRun.of(run_id) if answer[0] == b"UNKNOWN" else still_open(run_id, answer[1].decode())
    await sweep(calls)


async def sweep(calls: Calls) -> None:
    """Takes away, step by step, what deleted runs have left."""
    while await calls.write("sweep", SCAN):
        pass


async def read_base(calls: Calls, run_id: str, tenant: str) -> RunState:
    """The fold of the events that were trimmed; raises UnknownRun."""
    base = await calls.read_of(run_id, tenant, "field", "base")
    return RunState(run_id) if base is None else RunState.from_dict(orjson.loads(base))


async def trim(calls: Calls, run_id: str, keep_events: int, tenant: str) -> int:
    """Takes the oldest windows of an ended run away while ``keep_events`` stay; returns the last seq that is gone."""
    record = await read_record(calls, run_id, tenant)
    if await calls.read_of(run_id, tenant, "field", "ended") is None:
        raise ValueError(f"run {run_id} has not ended")
    base = await read_base(calls, run_id, tenant)
    cut = base.seq
    while True:
        windows = await calls.read("read", tenant, run_id, cut, bounds.READ_EVENTS, bounds.READ_BYTES)
        for i in range(0, len(windows), 2):
            events = events_of(run_id, int(windows[i]), windows[i + 1])
            if events[-1].seq > record.last_seq - keep_events:
                break
            for event in events:
                evolve(base, event)
            cut = base.seq
        else:
            if windows:
                continue
        break
    if cut >= record.first_seq:
        await _trim(calls, run_id, tenant, record.first_seq, base)
    return cut


async def _trim(calls: Calls, run_id: str, tenant: str, first: int, base: RunState) -> None:
    answer: Any = b"MORE"
    while answer == b"MORE":
        answer = await calls.write("trim", tenant, run_id, first, base.seq, orjson.dumps(base.to_dict()), SCAN)
    if answer != b"OK":
        raise ValueError(f"run {run_id} is trimmed or deleted by somebody else")
