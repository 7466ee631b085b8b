"""Pure functions from what followers were shown to the faults in it."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from tests.crash.evidence import Evidence, Shown, Window


def wrongly_shown(evidence: Evidence) -> Iterator[str]:
    """Each follower was shown what the log has: the same bytes, in order, each once, from the first to the last."""
    parents = {
        run: f"{run.partition('/')[0]}/{events[0].data['parent']['run_id']}"
        for run, events in evidence.events.items()
        if "parent" in events[0].data
    }
    for shown in evidence.shown:
        logged = [event for window in evidence.windows if _is_of(shown, window, parents) for event in window.events]
        if shown.messages != tuple(logged):
            yield f"{shown.followed} {difference(list(shown.messages), logged)}"


def _is_of(shown: Shown, window: Window, parents: dict[str, str]) -> bool:
    """Whether the follower is shown this window."""
    followed = shown.followed
    if followed.of == "all":
        return window.run.startswith(f"{followed.tenant}/")
    run, wanted = window.run, f"{followed.tenant}/{followed.run_id}"
    while followed.of == "tree" and run != wanted and run in parents:
        run = parents[run]
    return run == wanted


def difference(shown: list[bytes], logged: list[bytes]) -> str:
    """Where they begin to differ, in words."""
    at = next((n for n, (one, other) in enumerate(zip(shown, logged, strict=False)) if one != other), None)
    if at is None:
        return f"was shown {len(shown)} messages, and the log has {len(logged)}"
    return f"was shown {name(shown[at])} in place {at + 1}, where the log has {name(logged[at])}"


def name(message: bytes) -> str:
    """A message in few words."""
    event = orjson.loads(message)
    return f"{event['run_id']} {event.get('seq', 'a notice')} {event['type']}"
