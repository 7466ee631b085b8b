"""What an actor sees of its run (``Scope``), and what its helpers see of an actor (``Body``)."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from reactivex.abc import SchedulerBase

from reactor.definition.graph import Node
from reactor.definition.policy import Budget
from reactor.events.event import Draft
from reactor.ports.clock import Clock
from reactor.ports.executor import Executor
from reactor.ports.tracing import RunTrace
from reactor.supervision.ending import Ending
from reactor.supervision.isolation import Isolation
from reactor.supervision.progress import Progress
from reactor.supervision.slots import Claim, ReadyQueue
from reactor.supervision.totals import Totals
from reactor.tasks.cache import OutputCache
from reactor.tasks.mailbox import Mailbox
from reactor.tasks.outputs import Output
from reactor.trace_context import TraceContext


class Ended(Protocol):
    """A task as others see it: ``status`` is as in ``RunState``, ``because`` the task where a skip or failure began."""

    @property
    def task_id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def output(self) -> Any: ...
    @property
    def error(self) -> dict[str, Any] | None: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def because(self) -> str | None: ...


class Journal(Protocol):
    """The run's window, as far as a body waits for it."""

    @property
    def last_written(self) -> int:
        """The seq of the last event that was written, in the log or not."""
        ...

    @property
    def is_crowded(self) -> bool:
        """Whether twice a window waits to be committed, because somebody emits without awaiting."""
        ...

    def wait_for_room(self) -> Awaitable[None]: ...
    def committed(self) -> Awaitable[None]:
        """Done when everything written so far is in the log."""
        ...


class Control(Protocol):
    """Whether the run is paused or ends."""

    @property
    def ending(self) -> Ending | None: ...
    @property
    def is_paused(self) -> bool: ...
    def resumed(self) -> Awaitable[None]:
        """Done when the run is not paused."""
        ...


class Spending(Protocol):
    """What the run spends, against its budget."""

    def may_start(self, body: Body) -> bool:
        """Counts the start of a body; False where a budget stops it."""
        ...

    def spend(self, body: Body, cost: Decimal, tokens: int, source: str) -> None: ...
    @property
    def spent_by(self) -> Mapping[str, tuple[Decimal, int]]:
        """Task id -> (cost, tokens), with child runs, of the tasks that have spent something."""
        ...


class Limits(Protocol):
    """The slots and rates a body takes before it starts."""

    def claim_for(self, node: Node, again: Callable[[], None], *, starts: bool) -> Claim | None:
        """What a body of this task has to take; None for nothing. ``starts``: count it in the rates too."""
        ...

    def take(self, body: Body, claim: Claim) -> bool:
        """Whether the body has all it claims; else the claim calls ``again``."""
        ...

    def wait_begins(self, body: Body) -> None:
        """The body waits for an answer. Raises ThreadsExhausted where too many wait in its executor."""
        ...

    def wait_ends(self, body: Body) -> None: ...


class Children(Protocol):
    """The child runs that bodies ask for."""

    def run(
        self, body: Body, workflow: Any, input: Mapping[str, Any], name: str, budget: Budget | None, *, again: bool
    ) -> Awaitable[dict[str, Any]]:
        """The outputs of a child run. ``again``: this attempt has asked for this name before."""
        ...

    def leave(self, task_id: str) -> None:
        """Cancels the child runs that a task has left open at its end."""
        ...


class CompletionObserver(Protocol):
    """Waits for the end of a task, and needs none of its events."""

    def on_completed(self) -> None: ...


class UpstreamTask(Ended, Protocol):
    """A task of the graph, as its dependents see it."""

    def observe_completion(self, observer: CompletionObserver) -> None:
        """Calls ``on_completed`` once, when this task ends. Not for a task that has ended."""
        ...


@dataclass(slots=True, eq=False)
class Scope:
    """What all actors of a run share: values, services and the parts of the run that they speak to."""

    run_id: str
    tenant: str
    inputs: dict[str, Any]
    input_json: dict[str, bytes]
    meta: dict[str, Any]
    resources: Mapping[str, Any]
    reused: Mapping[str, Output]
    """Outputs of an earlier run that this one takes over, by task id."""
    tracebacks: bool
    """Whether ``task.failed`` shows a traceback."""

    loop: AbstractEventLoop
    scheduler: SchedulerBase
    """Of the loop: for Observables that wait for time."""
    clock: Clock
    executors: Mapping[str, Executor]
    cache: OutputCache
    isolation: Isolation

    actors: Mapping[str, UpstreamTask]
    """The tasks of the graph by name, upstreams first."""
    ready: ReadyQueue
    totals: Totals
    progress: Progress
    journal: Journal
    control: Control
    spending: Spending
    limits: Limits
    children: Children
    trace: RunTrace | None
    """What makes its spans; None: nobody does."""
    given_trace: TraceContext | None
    """Where whoever started it said that it belongs."""


class Body(Protocol):
    """A task that runs a body, as those see it who bind its arguments, run its attempts and speak for it."""

    @property
    def scope(self) -> Scope: ...
    @property
    def node(self) -> Node: ...
    @property
    def task_id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def map_index(self) -> int | None: ...
    @property
    def item(self) -> Any:
        """The mapped item of a child; None elsewhere."""
        ...

    @property
    def pair(self) -> Ended | None:
        """In a map over a map: the child of the same index upstream."""
        ...

    @property
    def seen_upstreams(self) -> Mapping[str, Ended]: ...
    @property
    def mailbox(self) -> Mailbox: ...
    @property
    def has_ended(self) -> bool: ...
    def draft(self, type: str, data: bytes) -> Draft: ...
    def emit(self, draft: Draft) -> None: ...
    def fail(self, error: BaseException) -> None: ...
