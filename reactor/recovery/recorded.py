"""The outputs of a child run that is gone, from the log of its parent: the values that the body got at first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from pydantic import TypeAdapter

from reactor.definition.binding import adapter_for
from reactor.definition.graph import Graph
from reactor.events.restoring import restore_output
from reactor.logger import get_logger
from reactor.runs.child_records import RecordedEnd

logger = get_logger()


def recorded_outputs(graph: Graph, recorded: RecordedEnd) -> dict[str, Any] | None:
    """The outputs, restored by the annotations of the child's graph; None where that no longer accepts them.

    What no log can give back is as it was shown, and a warning says so.
    """
    outputs = dict(recorded.outputs())
    try:
        for name, hints in (recorded.typed or {}).items():
            node = graph.by_name[name]
            is_map = node.map_source is not None
            counted: list[list[Any]] = hints if is_map else [[1, hints]]
            if any(hint == "lost" for _, hint in counted):
                logger.warning(
                    "output cannot be restored, it is given as it was shown", run_id=recorded.child_id, task_id=name
                )
            values = outputs[name] if is_map else [outputs[name]]
            restored = list(_restored(values, counted, adapter_for(node.returns)))
            outputs[name] = restored if is_map else restored[0]
    except Exception as error:  # any, from a user's validator; and a KeyError where the graph has changed
        logger.warning("outputs of a child run cannot be restored", run_id=recorded.child_id, error=str(error))
        return None
    return outputs


def _restored(values: list[Any], counted: list[list[Any]], returns: TypeAdapter[Any] | None) -> Iterator[Any]:
    hints: Iterator[Any] = (hint for count, hint in counted for _ in range(count))
    for value, hint in zip(values, hints, strict=True):
        yield value if hint in (False, "lost") else restore_output(orjson.dumps(value), returns, hint)
