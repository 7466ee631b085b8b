"""The ``data`` of the events that the engine itself writes, as JSON: one function a type, values in, bytes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import orjson

from reactor import bounds
from reactor.events.event import Draft
from reactor.events.one_line import one_line
from reactor.events.progress import WHOLE_TASK
from reactor.events.restoring import Encoded
from reactor.events.values import json_number, preview
from reactor.events.vocabulary.task import RetryReason

_MANY: Final = 16
_MANY_BYTES: Final = 1 << 20
"""An object of more members than that, and of no more bytes, is put together by orjson."""


def run_started(
    run_id: str,
    facts: Mapping[str, Any],
    large: Mapping[str, bytes],
    *,
    meta: Mapping[str, Any],
    origin: Mapping[str, Any],
    inputs: Mapping[str, Encoded],
    input_digest: str | None = None,
) -> Draft:
    """``run.started``.

    - ``facts``: workflow, version, fingerprint and total_tasks.
    - ``large``: input, tasks and plan as JSON. One that does not fit into the event is stored beside it, and the event
      has a reference instead (``input_ref``).
    - ``origin``: budget, parent and retry_of, as far as the run has them.
    - ``inputs``: the same input as in ``large``, each value with whether its JSON restores it.
    - ``input_digest``: of the whole input, where its JSON does not show all of it.
    """
    data = dict(facts)
    if meta:
        data["meta"] = dict(meta)
    data |= origin
    if inputs:
        data["typed_inputs"] = {name: value.hints for name, value in inputs.items() if value.typed}
    if lost_inputs := [name for name, value in inputs.items() if not value.recoverable]:
        data["not_recoverable"] = lost_inputs
    if input_digest is not None:
        data["input_digest"] = input_digest
    beside: dict[str, bytes] = {}
    room = bounds.MAX_INLINE_BYTES
    for name, encoded in large.items():
        json = one_line(encoded)  # before it is measured
        if len(json) <= room:
            data[name] = orjson.Fragment(json)
            room -= len(json)
        else:
            data[f"{name}_ref"] = f"runs/{run_id}"
            beside[name] = json
    return Draft("run.started", orjson.dumps(data), blob=json_object(beside) if beside else None)


def run_upgraded(run_id: str, facts: Mapping[str, Any], tasks: bytes, removed: Sequence[str], graph: bytes) -> Draft:
    """``run.upgraded``.

    - ``facts``: from, to, version, total_tasks and maps.
    - ``tasks``, ``graph``: the entries that are new, and all of them, as JSON. ``graph`` is stored beside the event,
      with whatever does not fit into it.
    """
    data, beside = dict(facts), {"graph": one_line(graph)}
    room = bounds.MAX_INLINE_BYTES
    large = {"removed": orjson.dumps(list(removed))} if removed else {}
    for name, json in {**large, "tasks": one_line(tasks)}.items():
        if len(json) <= room:
            data[name] = orjson.Fragment(json)
            room -= len(json)
        else:
            data[f"{name}_ref"] = f"runs/{run_id}"
            beside[name] = json
    return Draft("run.upgraded", orjson.dumps({**data, "graph_ref": f"runs/{run_id}"}), blob=json_object(beside))


def started(executor: str, index: int, total: int, given: Mapping[str, bytes]) -> bytes:
    """``task.started``. ``given``: parameter -> JSON; above 4 KiB, only the beginning is written."""
    data = b'{"executor":"%b","index":%d,"total":%d' % (executor.encode(), index, total)
    if not given:
        return data + b"}"
    if sum(map(len, given.values())) > bounds.MAX_INPUT_PREVIEW_BYTES:  # each child of a map may be given all of it
        given = {name: json[:_PREVIEW_BYTES] for name, json in given.items()}
        beginning = json_object(given)[:_PREVIEW_BYTES].decode("utf-8", "replace")
        return b'%b,"input_preview":%b}' % (data, orjson.dumps(preview(beginning)))
    bound = json_object(given)
    if len(bound) > bounds.MAX_INPUT_PREVIEW_BYTES:
        return b'%b,"input_preview":%b}' % (data, orjson.dumps(preview(bound.decode("utf-8", "replace"))))
    return b'%b,"input":%b}' % (data, bound)


_PREVIEW_BYTES: Final = 4 * (bounds.PREVIEW_CHARS + 2)
"""These have more characters than a preview shows."""


def completed(
    encoded: Encoded, duration_ms: float, reference: str, *, cached: bool = False
) -> tuple[bytes, bytes | None]:
    """``task.completed``, and the output if it is too large for the event (32 KiB) and is stored beside it."""
    blob = None
    if len(encoded.json) <= bounds.MAX_INLINE_BYTES:
        output = b'"output":' + encoded.json
    else:
        blob = encoded.json
        beginning = preview(blob[: 4 * bounds.PREVIEW_CHARS].decode("utf-8", "replace"))
        output = orjson.dumps({"output_ref": reference, "size": len(blob), "preview": beginning})[1:-1]
    restored = b',"typed":true' if encoded.typed else b"" if encoded.recoverable else b',"recoverable":false'
    if encoded.hints is not None:
        restored += b',"hints":' + orjson.dumps(encoded.hints)
    origin = b"true" if cached else b"false"
    data = b'{%b,"duration_ms":%b,"cached":%b%b}' % (output, repr(duration_ms).encode(), origin, restored)
    return data, blob


def mapped(count: int) -> bytes:
    """``task.mapped``."""
    return b'{"count":%d}' % count


def retrying(
    next_attempt: int, delay_ms: float, error: Mapping[str, Any], duration_ms: float, reason: RetryReason
) -> bytes:
    """``task.retrying``."""
    data = {"next_attempt": next_attempt, "delay_ms": delay_ms, "error": error, "duration_ms": duration_ms}
    return orjson.dumps({**data, "reason": reason})


def waiting(
    asked: Mapping[str, Any], *, rejected: Sequence[int] = (), problem: str | None = None, answered: int | None = None
) -> bytes:
    """``task.waiting``. ``asked``: prompt, schema, key and, if it expires, expires."""
    data = dict(asked)
    if rejected:
        data |= {"rejected": list(rejected), "problem": problem}
    if answered is not None:
        data["answered"] = answered
    return orjson.dumps(data)


def question_closed(key: str) -> bytes:
    """``task.expired`` and ``task.withdrawn``."""
    return orjson.dumps({"key": key})


def received(value: Any, key: str | None, by: str | None) -> bytes:
    """``task.received``. ``by``: who sent it, if known."""
    return one_line(orjson.dumps({"value": value, "key": key} | ({} if by is None else {"by": by})))


def ended(data: bytes, progress: int, spent: tuple[Decimal, int] | None) -> bytes:
    """The data of a task's last event, with what all of them carry.

    ``progress``: of the run, in millionths. ``spent``: the (cost, tokens) of the task, if any. Every task has such an
    event, so the keys are appended to its bytes.
    """
    if spent is not None:
        cost, tokens = spent
        numbers = ({"cost": json_number(cost)} if cost else {}) | ({"tokens": tokens} if tokens else {})
        if numbers:
            data = b"%b,%b" % (data[:-1], orjson.dumps(numbers)[1:])
    if progress < WHOLE_TASK:
        return b'%b,"progress":0.%06d}' % (data[:-1], progress)
    return b'%b,"progress":1.0}' % data[:-1]


def spent(
    cost: Decimal, tokens: int, total_cost: Decimal, total_tokens: int, source: str, child: Mapping[str, Any]
) -> bytes:
    """``task.spent``. ``child``: ``{child_run, tasks}`` if a child run spent it, else empty."""
    data = {
        "cost": json_number(cost),
        "tokens": tokens,
        "total_cost": json_number(total_cost),
        "total_tokens": total_tokens,
    }
    return orjson.dumps({**data, "source": source, **child})


def child_started(child_run: str, workflow: str, key: str) -> bytes:
    """``child.started``."""
    return orjson.dumps({"engine": True, "child_run": child_run, "workflow": workflow, "key": key})


def child_ended(
    child_run: str,
    status: str,
    last: Mapping[str, Any],
    outputs: bytes | None,
    errors: Mapping[str, Any],
    last_seq: int,
) -> tuple[bytes, bytes | None]:
    """``child.ended``, and what is too large for it and is stored beside it: ``{outputs}`` or ``{errors}``.

    - ``last``: the data of the child's last event. ``outputs``: what is stored beside that event, if anything.
    - ``errors``: of its failed tasks, by task id.
    """
    data: dict[str, Any] = {"engine": True, "child_run": child_run, "status": status}
    data |= {name: last[name] for name in ("outputs", "size", "typed_outputs", "error", "reason") if name in last}
    beside: dict[str, bytes] = {}
    if outputs is not None:
        beside["outputs"] = outputs
    error = last.get("error", {})
    if errors and errors != {error.get("task_id"): {name: error[name] for name in ("type", "message")}}:
        encoded = orjson.dumps(errors)
        if len(encoded) <= bounds.MAX_INLINE_BYTES // 2:  # ``error`` is in the same event
            data["errors"] = orjson.Fragment(encoded)
        else:
            beside["errors"] = encoded
    data |= {f"{name}_ref": f"runs/{child_run}" for name in beside}
    data |= {"last_seq": last_seq, "cost": last.get("cost", 0.0), "tokens": last.get("tokens", 0)}
    return orjson.dumps(data), json_object(beside) if beside else None


def failed(error: Mapping[str, Any], duration_ms: float, *, mapped: bool = False) -> bytes:
    """``task.failed``. ``mapped``: a mapped task that failed before it had children, and so ran no body."""
    return orjson.dumps({"error": error, "duration_ms": duration_ms} | _mapped(mapped))


def skipped(reason: str | None, because: str | None, *, mapped: bool = False) -> bytes:
    """``task.skipped``."""
    return orjson.dumps({"reason": reason, "because": because} | _mapped(mapped))


def cancelled(reason: str | None, stop_ms: float, *, stopped: bool, mapped: bool = False) -> bytes:
    """``task.cancelled``. ``stopped`` is false for a body that was abandoned while it still ran."""
    return orjson.dumps({"reason": reason, "stop_ms": stop_ms, "stopped": stopped} | _mapped(mapped))


def _mapped(mapped: bool) -> dict[str, bool]:
    return {"mapped": True} if mapped else {}


def json_object(members: Mapping[str, bytes | None]) -> bytes:
    """A JSON object from members that are JSON already; a member that is None is left out."""
    if len(members) > _MANY and sum(len(json) for json in members.values() if json) <= _MANY_BYTES:
        return orjson.dumps({name: orjson.Fragment(json) for name, json in members.items() if json is not None})
    parts: list[bytes] = []
    for name, json in members.items():
        if json is not None:
            parts += (b"," if parts else b"{", orjson.dumps(name), b":", json)
    return b"".join((*parts, b"}")) if parts else b"{}"  # copied once: a member may be large
