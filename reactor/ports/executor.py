"""Where bodies run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from reactor.definition.task import Task
from reactor.ports.attempt import Attempt
from reactor.ports.speech import Voice


class Work(NamedTuple):
    """One attempt of a body, ready to be called: what, with what, and whom its Context speaks to."""

    task: Task[..., Any]
    arguments: Mapping[str, Any]
    """By parameter, without the context's."""
    run_id: str
    task_id: str
    context: str | None = None
    """The parameter that takes the Context, if any; then there are an attempt and a voice."""
    attempt: Attempt | None = None
    voice: Voice | None = None


Done = Callable[[Any, BaseException | None], None]
"""Called on the loop once a body has answered: its output, or what it raised."""


class Executor(Protocol):
    """Where bodies run: on the loop, in threads, in processes."""

    def submit(self, work: Work, done: Done) -> Job:
        """Runs the body; ``done(output, error)`` is called on the loop, never inside of ``submit``."""
        ...

    async def close(self) -> None:
        """Lets idle workers go; does not wait for abandoned ones."""
        ...


class Job(Protocol):
    """A body that was submitted. Loop thread only."""

    def cancel(self) -> None:
        """Asks the body to stop: it is interrupted where its place allows that, and told through ``ctx.cancelled``."""
        ...

    def abandon(self) -> bool:
        """Stops waiting for it: ``done`` is never called. True where the body is really gone, being killed."""
        ...

    @property
    def saw_cancel(self) -> bool:
        """The body looked at ``ctx.cancelled`` and found it true: what it returns then is no output."""
        ...
