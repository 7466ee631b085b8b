"""The exact form of a state: money in units of 1e-12, durations in microseconds, progress in millionths.

``tests/node/canonical.mjs`` gives the same of a state that JavaScript has folded. ``as_text`` makes both comparable.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, cast

from reactor.events.progress import WHOLE_TASK
from reactor.events.state import RunState

_PICO = 10**12


def canonical(state: RunState) -> dict[str, Any]:
    """What ``to_dict`` shows, made of whole numbers wherever a sum is; ``shown_cost`` is the cost as it is shown."""
    shown = state.to_dict()
    shown["progress"] = round(shown["progress"] * WHOLE_TASK)
    for name in ("paused", "downtime"):
        if f"{name}_ms" in shown:
            shown[f"{name}_us"] = round(shown.pop(f"{name}_ms") * 1000)
    spenders = [(shown, state.cost)]
    spenders += [(shown["tasks"][id], task.cost) for id, task in state.tasks.items()]
    spenders += [(shown["children"][id], child["cost"]) for id, child in (state.children or {}).items()]
    for spender, cost in spenders:
        if cost is not None:
            spender["shown_cost"] = spender["cost"]
            spender["cost"] = int(cost * _PICO)
    return shown


def as_text(value: Any) -> str:
    """JSON in which equal values are equal text: names in order, and 2.0 is 2."""
    return json.dumps(_with_whole_numbers(value), sort_keys=True)


def _with_whole_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value).items()
        return {name: _with_whole_numbers(member) for name, member in members}
    if isinstance(value, (list, tuple)):
        return [_with_whole_numbers(member) for member in cast("list[Any]", value)]
    is_whole = isinstance(value, float) and value.is_integer()
    return int(Decimal(repr(value))) if is_whole else value  # JavaScript writes the digits of its shortest text
