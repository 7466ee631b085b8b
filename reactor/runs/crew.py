"""The actors of one run, and the queue of those that are ready to begin."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable, Generator
from typing import Final

from reactor.definition.graph import Graph
from reactor.events.event import Draft
from reactor.operators.attached import Attachable, Callbacks, Disposing, Inlet
from reactor.operators.buffer_window import Room
from reactor.stream.merge_tasks import merge_tasks
from reactor.supervision.slots import ReadyQueue
from reactor.tasks.actor import Actor
from reactor.tasks.body import TaskActor
from reactor.tasks.mapped import MappedActor
from reactor.tasks.past import Past
from reactor.tasks.scope import Scope

_AT_ONCE: Final = 500
"""Actors that are made, or merged, before others may have the loop."""


class Crew:
    """One actor a task of the graph. Loop thread only."""

    def __init__(self, graph: Graph, room: Room, loop: AbstractEventLoop, *, is_session: bool = False) -> None:
        self._graph = graph
        self.ready = ReadyQueue(room, loop.call_soon)
        self.actors: dict[str, Actor] = {}
        """By name, upstreams first."""
        self.outside = Inlet[Draft]() if is_session else None
        """Of an open session: the one source of its drafts. It has no actors, and ends when this source does."""
        self._merged: list[Disposing] = []
        self._open = 0
        """How many merged parts have not ended."""

    def assemble(self, scope: Scope, past: Past | None) -> Generator[None]:
        """Makes the actors; after a restart they take over what the log says of them. Others may have a turn at each
        step."""
        for number, node in enumerate(self._graph.nodes):  # upstreams first
            if number and not number % _AT_ONCE:
                yield
            make = TaskActor if node.map_source is None else MappedActor
            actor = self.actors[node.name] = make(scope, node, node.name)
            if past is not None:
                actor.restore(past)

    def connect(
        self, write: Callable[[Draft], None], failed: Callable[[Exception], None], all_ended: Callable[[], None]
    ) -> Generator[None]:
        """Merges the actors into the run's bus: from now on they wait for their upstreams, and then run.

        Many are merged in parts, and others may have a turn at each step.
        """
        sources = self._sources()
        starts = range(0, max(1, len(sources)), _AT_ONCE)
        self._open = len(starts)

        def part_ended() -> None:
            self._open -= 1
            if not self._open:
                all_ended()

        for start in starts:
            part = merge_tasks(sources[start : start + _AT_ONCE])
            self._merged.append(part.attach(Callbacks(write, failed, part_ended)))
            yield

    def _sources(self) -> list[Attachable[Draft]]:
        return [*self.actors.values(), *([] if self.outside is None else [self.outside])]

    def end_outside(self) -> None:
        """Nothing more comes from outside: a session is closed, or cancelled. Does nothing to other runs."""
        source, self.outside = self.outside, None
        if source is not None:
            source.on_completed()

    def stop(self) -> None:
        """Stops all bodies. They write nothing more."""
        merged, self._merged = self._merged, []
        for part in merged:
            part.dispose()

    @property
    def has_ended(self) -> bool:
        """Whether all tasks have ended, and a session is closed."""
        return self.outside is None and all(actor.has_ended for actor in self.actors.values())

    def actor(self, task_id: str) -> Actor:
        """The actor of a task, or of a child of a mapped one; of the mapped task where it has no such child yet."""
        found = self.find(task_id)
        return self.actors[task_id.partition("[")[0]] if found is None else found

    def find(self, task_id: str) -> Actor | None:
        """The actor of a task or of a child of a mapped one, if there is one."""
        actor = self.actors.get(task_id)
        if actor is not None:
            return actor
        name, _, index = task_id.removesuffix("]").partition("[")
        mapped = self.actors.get(name)
        if not isinstance(mapped, MappedActor) or not index.isascii() or not index.isdigit():
            return None
        position = int(index[:9])
        children = mapped.children
        return children[position] if position < len(children) and children[position].task_id == task_id else None

    def exception_of(self, task_id: str) -> BaseException | None:
        """The error a task has failed with, in this process."""
        actor = self.actor(task_id)
        return actor.exception if isinstance(actor, TaskActor) else None
