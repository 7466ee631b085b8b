"""``RemoteSession``: the handle on a session of a server, with the surface of ``reactor.runs.session.Session``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import orjson

from reactor.errors import IsSession
from reactor.runs.session import CloseStatus, closing_of
from reactor.waiting import methods_must_be_awaited
from reactor_web.client.run import RemoteRun


@methods_must_be_awaited("session")
class RemoteSession(RemoteRun):
    """A run without tasks, whose events come from outside: ``session = await client.session("s1")``.

    ``emit`` and ``emit_all`` say something in it, ``close`` ends it; ``cancel`` ends it too, at once. All else is as
    with any run: ``events``, ``await session``, ``state``. It cannot be paused and cannot be retried.
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

        Raises RunEnded where it had ended before, and ValueError for a status, outputs or an error that cannot be.
        """
        closing = closing_of(status, outputs, error)
        body: dict[str, Any] = {"status": closing.status}
        if closing.status == "completed":
            body["outputs"] = orjson.loads(closing.outputs)
        if closing.error is not None:
            body["error"] = closing.error
        return await self._command("close", body)

    async def pause(self, *, reason: str = "requested") -> NoReturn:
        """Raises IsSession."""
        raise self._has_no("to pause")

    async def resume(self, *, reason: str = "requested") -> NoReturn:
        """Raises IsSession."""
        raise self._has_no("to resume")

    def _has_no(self, what: str) -> IsSession:
        return IsSession(f"run {self.id} is a session: it has no tasks {what}; close it, or cancel it", run_id=self.id)

    def __repr__(self) -> str:
        return f"<RemoteSession {self.id}, {self.status} at {self.state.seq}>"
