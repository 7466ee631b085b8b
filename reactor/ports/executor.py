"""The port for what runs the bodies of tasks: on the event loop, in threads, in processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from reactor.definition.task import Task
from reactor.ports.attempt import Attempt
from reactor.ports.speech import Voice
from reactor.trace_context import TraceContext


class Work(NamedTuple):
    """One attempt of a body, ready to be called."""

    task: Task[..., Any]
    arguments: Mapping[str, Any]
    """Parameter -> value, without the parameter for the Context."""
    run_id: str
    task_id: str
    context: str | None = None
    """The name of the parameter for the Context, if there is one; ``attempt`` and ``voice`` are then set."""
    attempt: Attempt | None = None
    voice: Voice | None = None
    tenant: str = ""
    """Whose run it is."""
    trace: TraceContext | None = None
    """The place of the attempt in a trace. An executor elsewhere hands it on; here it is the current span already."""


Done = Callable[[Any, BaseException | None], None]
"""Called on the loop when a body has ended: ``done(output, None)``, or ``done(None, error)`` with what it raised."""


class Executor(Protocol):
    """Runs bodies."""

    def submit(self, work: Work, done: Done) -> Job:
        """Starts the body. ``done`` is called on the loop when the body has ended, never inside ``submit``."""
        ...

    async def close(self) -> None:
        """Ends idle workers. Does not wait for abandoned ones."""
        ...


@runtime_checkable
class Timed(Protocol):
    """What a ``Job`` may have too: with it, a body that has ended in time is not late because the loop was busy."""

    @property
    def ended_at(self) -> float | None:
        """``time.monotonic()`` when the body had ended; None before. Without it: the time when ``done`` is called."""
        ...


@runtime_checkable
class Exhaustible(Protocol):
    """What an ``Executor`` may have too: its places can be lost to bodies that were abandoned and go on."""

    def watch(self, on_change: Callable[[bool], None]) -> None:
        """Calls ``on_change(False)`` on the loop when it has no place for another body, ``(True)`` when it has again.

        In between, the engine gives it only bodies that were on their way already.
        """
        ...


@runtime_checkable
class HasThreads(Protocol):
    """What an ``Executor`` may have too: its bodies run in threads of this process, which metrics count."""

    def count_threads(self) -> Mapping[str, int]:
        """How many there are, by ``idle``, ``busy`` and ``stuck``: its body was given up, and still runs."""
        ...


@runtime_checkable
class Mortal(Protocol):
    """What an ``Executor`` may have too: its bodies would go on while the process of the engine stands still."""

    def keep_until(self, ends: float) -> None:
        """Its bodies are ended at that time, as ``reactor.clock.boot_time`` tells it, unless it is put off before.

        Another process may execute their runs from then on.
        """
        ...


class Job(Protocol):
    """A body that was submitted. Use it only on the loop's thread."""

    def cancel(self) -> None:
        """Asks the body to stop: ``ctx.cancelled`` becomes true, and it is interrupted if the executor can do that."""
        ...

    def abandon(self) -> bool:
        """Stops waiting for the body: ``done`` is never called. True if the body was killed and no longer runs."""
        ...

    @property
    def saw_cancel(self) -> bool:
        """Whether the body has read ``ctx.cancelled`` as true; what it returns after that is not an output."""
        ...
