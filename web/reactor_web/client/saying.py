"""The part of a ``RemoteRun`` that says something in it: ``emit``, ``emit_all``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reactor.definition.task import Task, task_id_of
from reactor.errors import InvalidEvent
from reactor.events.shown import dumps
from reactor.requests import check_key
from reactor.waiting import methods_must_be_awaited
from reactor_web.client.followed import Followed


@methods_must_be_awaited("run")
class Saying:
    """What can be said in an open run over HTTP. In a session it is all that is said.

    ``task``: what the event is about. In a run with tasks it is one of them, else UnknownTask is raised; in a session
    any name that a task could have.
    """

    _followed: Followed

    async def emit(
        self,
        type: str,
        data: Mapping[str, Any] | Any | None = None,
        *,
        task: str | Task[..., Any] | None = None,
        key: str | None = None,
    ) -> None:
        """Puts an event on the run's stream; returns once it is in the log. ``data``: what becomes a JSON object.

        ``key``: an idempotency key. The same event with the same key again is not appended again, also after a crash;
        the last 1,000 keys of a run are remembered. Without one, the event has a random key: an answer that is lost
        must not make two events of it. Raises KeyReused for a key that was used for another event; InvalidEvent,
        EventTooLarge (48 KiB), UnknownTask, RunEnded.
        """
        event: dict[str, Any] = {"type": type, "data": {} if data is None else data}
        if task is not None:
            event["task"] = task_id_of(task)
        await self._emit(event, key)

    async def emit_all(self, events: Sequence[Mapping[str, Any]], *, key: str | None = None) -> list[int]:
        """Emits events ``{type, data?, task?}``, all or none, and returns their seqs once they are in the log.

        At most 1,000; no other event comes between them. ``key`` is of all together, and the errors are those of
        ``emit``, with the place of the event.
        """
        return await self._emit([dict(event) for event in events], key)

    async def _emit(self, body: Any, key: str | None) -> list[int]:
        run = self._followed
        try:
            check_key(key)
            encoded = dumps(body)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidEvent(f"run {run.run_id}: the event is not JSON: {error}", run_id=run.run_id) from error
        answer = await run.ask("POST", "/events", body=encoded, key=key)
        return answer["seqs"]
