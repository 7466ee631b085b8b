"""``Session``: the handle on a run without tasks, whose events come from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NoReturn, cast, get_args

from reactor.bounds import MAX_ERROR_CHARS, PREVIEW_CHARS
from reactor.definition.graph import Graph
from reactor.errors import IsSession
from reactor.events.one_line import one_line
from reactor.events.shown import dumps
from reactor.events.values import clip, describe_error, json_kind, short_repr
from reactor.ports.log import SESSION
from reactor.runs.run import Run
from reactor.supervision.ending import Closing
from reactor.waiting import methods_must_be_awaited

CloseStatus = Literal["completed", "failed", "cancelled"]


class _NoTasks:
    """The definition of every session."""

    def __init__(self) -> None:
        self.name, self.version = SESSION
        self.timeout: float | None = None
        self.concurrency: int | None = None
        self.plan: dict[str, Any] | None = None
        self.tasks: dict[str, Any] = {}


SESSION_GRAPH: Final = Graph(_NoTasks(), (), {})
"""The graph of all sessions: no tasks, no inputs."""


@methods_must_be_awaited("session")
class Session(Run):
    """A run without tasks, whose events come from outside: ``session = await engine.session("s1")``.

    ``emit``, ``log``, ``spend`` say something in it, ``close`` ends it; ``cancel`` ends it too, at once. All else is as
    with any run: ``events``, ``await session``, ``state``. It cannot be paused and cannot be retried, since nothing of
    it is done here.
    """

    async def close(
        self,
        status: CloseStatus = "completed",
        *,
        outputs: Mapping[str, Any] | None = None,
        error: str | Mapping[str, Any] | BaseException | None = None,
    ) -> int | None:
        """Ends the session; returns the seq of its terminal event, once that is in the log.

        - ``outputs``: of a completed one, an object of anything that becomes JSON. ``await session`` gives it.
        - ``error``: of a failed one: a message, ``{type?, message}``, or the exception. ``await session`` raises
          RunFailed.

        Raises RunEnded where it had ended before, LogLost, and ValueError for a status, outputs or an error that cannot
        be.
        """
        closing = closing_of(status, outputs, error)
        return await self._carry_out("close", closing._asdict() | {"outputs": closing.outputs.decode()})

    async def outputs(self) -> dict[str, Any]:
        """What it was closed with, as JSON; empty until it is completed."""
        return await self.shown_outputs()

    async def pause(self, *, reason: str = "requested", by: str | None = None) -> NoReturn:
        """Raises IsSession."""
        raise self._has_no("to pause")

    async def resume(self, *, reason: str = "requested", by: str | None = None) -> NoReturn:
        """Raises IsSession."""
        raise self._has_no("to resume")

    def _has_no(self, what: str) -> IsSession:
        return IsSession(f"run {self.id} is a session: it has no tasks {what}; close it, or cancel it", run_id=self.id)

    def __repr__(self) -> str:
        return f"<Session {self.id}, {self.status} at {self.feed.last_seq}>"


def closing_of(status: object, outputs: object, error: object) -> Closing:
    """How a session is closed; raises ValueError that says what is wrong."""
    if status not in get_args(CloseStatus):
        allowed = ", ".join(get_args(CloseStatus))
        raise ValueError(f"a session is closed as one of {allowed}, not {short_repr(status)}")
    if outputs is not None and status != "completed":
        raise ValueError(f"a session that is closed as {status} has no outputs; only a completed one has")
    if error is not None and status != "failed":
        raise ValueError(f"a session that is closed as {status} has no error; only a failed one has")
    if status == "completed":
        return Closing("completed", outputs=_outputs(outputs))
    if status == "failed":
        return Closing("failed", error=_error(error))
    return Closing("cancelled", reason="closed")


def _outputs(given: object) -> bytes:
    if given is None:
        return b"{}"
    if not isinstance(given, Mapping):
        raise ValueError(f'the outputs of a session must be an object, like {{"answer": 42}}, not {json_kind(given)}')
    try:
        return one_line(dumps(dict(cast("Mapping[str, Any]", given))))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the outputs of a session are not JSON: {error}") from error


def _error(given: object) -> dict[str, Any]:
    if isinstance(given, BaseException):
        return describe_error(given)
    if given is None:
        given = "closed as failed"
    members: Mapping[str, Any] = cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {"message": given}
    kind, message = members.get("type", "SessionFailed"), members.get("message")
    if members.keys() - {"type", "message"} or not isinstance(kind, str) or not isinstance(message, str):
        raise ValueError(
            f"the error of a session must be text, or {{type, message}} of texts, not {json_kind(cast(object, given))}"
        )
    return {"type": clip(kind, PREVIEW_CHARS), "message": clip(message, MAX_ERROR_CHARS)}
