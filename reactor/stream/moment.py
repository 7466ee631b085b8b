"""The state of a run at one moment, as JSON: in pieces where it has many tasks, so that the loop is not held for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from reactor.events.event import Window
from reactor.events.state import RunState
from reactor.stream.feed import Feed

_AT_ONCE: Final = 500
"""Tasks that are described before others get a turn: 5 us each."""
_ROUNDS: Final = 5
"""How often those that have changed meanwhile are described in turns; then all at once."""


async def moment_of(feed: Feed) -> dict[str, Any]:
    """What ``feed.state.to_dict()`` is when this returns. Its ``seq`` says what that is current to."""
    state = feed.state
    if len(state.tasks) <= _AT_ONCE:
        return state.to_dict()
    changes = _Changes()
    subscription = feed.windows.subscribe(changes.on_window)
    try:
        described: dict[str, dict[str, Any]] = {}
        await _describe(state, list(state.tasks), described)
        for _ in range(_ROUNDS):
            if len(changes.tasks) <= _AT_ONCE:
                break
            await _describe(state, changes.take(), described)
        if changes.of_all:
            return state.to_dict()
        for id in changes.tasks & state.tasks.keys():
            described[id] = state.tasks[id].to_dict()
        return {**replace(state, tasks={}).to_dict(), "tasks": {id: described[id] for id in state.tasks}}
    finally:
        subscription.dispose()


async def described(state: RunState) -> dict[str, Any]:
    """``state.to_dict()`` of a state that nobody changes any more, in pieces."""
    if len(state.tasks) <= _AT_ONCE:
        return state.to_dict()
    tasks: dict[str, dict[str, Any]] = {}
    await _describe(state, list(state.tasks), tasks)
    return {**replace(state, tasks={}).to_dict(), "tasks": tasks}


async def _describe(state: RunState, ids: Iterable[str], described: dict[str, dict[str, Any]]) -> None:
    left = iter(ids)
    while some := list(islice(left, _AT_ONCE)):
        described.update({id: state.tasks[id].to_dict() for id in some if id in state.tasks})
        await asyncio.sleep(0)


class _Changes:
    """The tasks that published events have changed."""

    def __init__(self) -> None:
        self.tasks: set[str] = set()
        self.of_all = False
        """An event without a task may have changed any of them."""

    def on_window(self, window: Window) -> None:
        for event in window:
            if event.task_id is not None:
                self.tasks |= {event.task_id, event.task_id.partition("[")[0]}  # a child changes its mapped task
            elif event.type == "run.resumed":
                self.of_all = True

    def take(self) -> set[str]:
        taken, self.tasks = self.tasks, set()
        return taken
