"""The state of a run from its log: from the nearest kept state on, and keeping another where the way was long.

A kept state is lines of JSON: the state without its tasks, then some tasks or child runs a line, so that neither
writing nor reading one holds the loop for long. ``fold(checkpoint, events after it) == fold(all events)`` is the law.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from time import perf_counter
from typing import Any, Final, cast

import orjson

from reactor import bounds
from reactor.events.event import Event, damaged
from reactor.events.fold import evolve
from reactor.events.state import RunState, TaskState
from reactor.logger import get_logger
from reactor.ports.log import EventLog
from reactor.ports.stores import Checkpoints

logger = get_logger()

_TASKS_A_LINE: Final = 100
_EVENTS_A_LOOK: Final = 50
"""Events that are folded between two looks at the clock."""
_HOLD_SECONDS: Final = 0.004
"""How long the loop is held before others get a turn; reading and encoding come on top."""
_NOT_SHOWN: Final = frozenset({"remembered", "crashes"})
"""Fields of a run that are kept although ``to_dict`` does not have them: each is a line."""
_FORM: Final = hashlib.sha256(repr((RunState.__slots__, TaskState.__slots__)).encode()).hexdigest()[:16]
"""Of the state, as this version knows it: a version that folds more makes its own checkpoints."""


async def load_state(log: EventLog, checkpoints: Checkpoints | None, run_id: str, until: int | None = None) -> RunState:
    """The state of a run after event ``until``, or after its last one; the caller owns it. Raises UnknownRun."""
    state = await _nearest(log, checkpoints, run_id, until)
    kept = state.seq
    while until is None or state.seq < until:
        limit = bounds.READ_EVENTS if until is None else min(bounds.READ_EVENTS, until - state.seq)
        events = await log.read(run_id, state.seq, limit)
        if not events:
            break
        await _fold(state, events)
        if checkpoints is not None and state.seq - kept >= max(bounds.CHECKPOINT_EVENTS, 4 * len(state.tasks)):
            await _keep(checkpoints, state)
            kept = state.seq
    return state


async def _nearest(log: EventLog, checkpoints: Checkpoints | None, run_id: str, until: int | None) -> RunState:
    base = await log.base(run_id)
    if checkpoints is None:
        return base
    try:
        kept = await checkpoints.checkpoint(run_id, _NO_END if until is None else until)
        state = None if kept is None else await decode_state(kept)
    except Exception as error:  # the store's, or of a state that somebody has changed: the events are still there
        logger.warning("checkpoint not read", run_id=run_id, error=str(error))
        return base
    return base if state is None or state.seq <= base.seq else state


_NO_END: Final = 2**63 - 1


async def _fold(state: RunState, events: Sequence[Event]) -> None:
    began = perf_counter()
    for at, event in enumerate(events, 1):
        try:
            evolve(state, event)
        except orjson.JSONDecodeError:
            raise damaged(event.run_id, event.seq) from None
        if at % _EVENTS_A_LOOK == 0 and perf_counter() - began > _HOLD_SECONDS:
            await asyncio.sleep(0)
            began = perf_counter()
    await asyncio.sleep(0)


async def _keep(checkpoints: Checkpoints, state: RunState) -> None:
    """Hands the state to the store. Does not wait for it: a store that hangs must not hold up who reads."""

    def look(kept: asyncio.Future[None]) -> None:
        if not kept.cancelled() and (error := kept.exception()) is not None:
            logger.warning("checkpoint not kept", run_id=state.run_id, error=str(error))

    encoded = await encode_state(state)
    try:
        checkpoints.keep_checkpoint(state.run_id, state.seq, encoded).add_done_callback(look)
    except Exception as error:
        logger.warning("checkpoint not kept", run_id=state.run_id, error=str(error))


async def encode_state(state: RunState) -> bytes:
    """A state as it is kept."""
    lines = [orjson.dumps({"form": _FORM, **replace(state, tasks={}, children=None).to_dict()})]
    lines += [orjson.dumps({name: value}) for name in sorted(_NOT_SHOWN) if (value := getattr(state, name))]
    tasks = iter(state.tasks.values())
    while some := list(islice(tasks, _TASKS_A_LINE)):
        lines.append(orjson.dumps([task.to_dict() for task in some]))
        await asyncio.sleep(0)
    children = iter((state.children or {}).items())
    while part := dict(islice(children, _TASKS_A_LINE)):
        lines.append(orjson.dumps(replace(RunState(""), children=part).to_dict()))
        await asyncio.sleep(0)
    return b"\n".join(lines)


async def decode_state(kept: bytes) -> RunState | None:
    """The state that ``encode_state`` wrote; None if another version did, whose state may lack something."""
    first, *rest = kept.split(b"\n")
    head = orjson.loads(first)
    if head.pop("form", None) != _FORM:
        return None
    state = RunState.from_dict(head)
    for line in map(orjson.loads, rest):
        if isinstance(line, dict) and (names := _NOT_SHOWN & cast("dict[str, Any]", line).keys()):
            for name in names:
                setattr(state, name, line[name])
        elif isinstance(line, dict):
            state.children = state.children or {}
            state.children.update(RunState.from_dict(cast("dict[str, Any]", line)).children or {})
        else:
            state.tasks.update({task.id: task for task in map(TaskState.from_dict, line)})
        await asyncio.sleep(0)
    state.count_progress()
    return state
