"""A server, by its URL."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Unpack

from reactor.errors import RunOpen, UnknownRun
from reactor.events.event import Message
from reactor.events.state import RUN_ENDED, RunState
from reactor.ports.index import RunFilter
from reactor.requests import RUN_STATUSES
from reactor.runs.asked import OpenQuestion
from reactor_web.client.client import Client
from reactor_web.client.followed import Followed
from reactor_web.client.listed import ListedRun, listed
from reactor_web.client.run import RemoteRun
from reactor_web.terminal.places.place import Done, Listed, Retention

_ENDED: Final = tuple(status for status in RUN_STATUSES if status in RUN_ENDED)


class ServerPlace:
    """A server as a ``Place``, and what it does to its runs. ``client`` belongs to who has opened it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    # --- reading ---

    async def page(
        self, limit: int, before: str | None, *, stranded: bool = False, **wanted: Unpack[RunFilter]
    ) -> Sequence[ListedRun]:
        if not stranded:
            return await self._client.list(before=before, limit=limit, **wanted)
        query = {**_query(wanted), "recoverable": "false", "cursor": before, "limit": str(limit)}
        page = (await self._client.connection.ask("GET", "/runs", query=query)).json
        return [listed(run) for run in page["runs"]]

    async def questions(self, limit: int) -> tuple[list[dict[str, Any]], bool]:
        page = await self._client.questions(limit=limit)
        return [_question(asked) for asked in page.questions], page.cursor is not None

    async def state(self, run_id: str) -> RunState:
        return (await self._client.get(run_id)).state

    async def outputs(self, run_id: str) -> dict[str, Any]:
        return await self._client.run(run_id).shown_outputs()

    async def events(self, run_id: str, after: int, *, follow: bool) -> AsyncGenerator[Message, None]:
        run = Followed(run_id, self._client.connection)
        await run.fetch()  # once: who asks for a run that is not there sees it at once
        last = run.state.seq
        if not follow and after >= last:
            return
        # also what is there already comes as frames, which have the JSON of the log as it is
        async with aclosing(Followed(run_id, self._client.connection).messages(after)) as messages:
            async for message in messages:
                yield message
                if not follow and message.seq is not None and message.seq >= last:
                    return

    # --- commands ---

    @asynccontextmanager
    async def commands(self) -> AsyncGenerator[ServerPlace]:
        yield self

    async def cancel(self, run_id: str, *, task: str | None, reason: str, grace: float) -> Done:
        run = self._client.run(run_id)
        await run.request_cancel(grace, task=task, reason=reason)
        return await _done(run)

    async def pause(self, run_id: str, *, reason: str) -> Done:
        run = self._client.run(run_id)
        await run.pause(reason=reason)
        return await _done(run)

    async def resume(self, run_id: str, *, reason: str) -> Done:
        run = self._client.run(run_id)
        await run.resume(reason=reason)
        return await _done(run)

    async def send(self, run_id: str, task: str, value: Any, *, key: str | None, below: str | None) -> Done:
        run = self._client.run(run_id)
        await run.send(task, value, key=key, run=below)
        return await _done(run)

    async def retry(self, run_id: str, *, new_run_id: str | None, from_task: str | None) -> Done:
        return await _done(await self._client.run(run_id).retry(new_run_id=new_run_id, from_task=from_task))

    async def delete(self, run_id: str) -> None:
        await self._client.run(run_id).delete()

    async def prune(self, retention: Retention) -> int:
        """One request for each run: a server has no other way, and a key may see only some of them."""
        return await prune_by_one(self, retention)

    async def roots(self) -> AsyncIterator[Listed]:
        """Runs that no other has started, newest first."""
        async for run in self._client.runs():
            if run.root == run.run_id:
                yield run

    async def tree(self, root: str) -> list[Listed]:
        return [run async for run in self._client.runs(root=root)]


def _question(asked: OpenQuestion) -> dict[str, Any]:
    """With the members that a log says of it, too."""
    found = {"run_id": asked.run_id, "workflow": asked.workflow, "task_id": asked.task_id, "key": asked.key}
    found |= {"prompt": asked.prompt, "schema": asked.schema}
    return found if asked.expires is None else {**found, "expires": asked.expires}


async def _done(run: RemoteRun) -> Done:
    state = await run.refresh()
    return Done(run.id, state.status, state.seq)


async def prune_by_one(server: ServerPlace, retention: Retention) -> int:
    """Deletes ended runs beyond the limits one by one, each tree as a whole, from the bottom up."""
    deleted = kept = 0
    days = retention.keep_days
    before = None if days is None else datetime.now(UTC) - timedelta(days=days)
    too_old = [root async for root in server.roots()]
    for root in too_old:
        if root.status not in _ENDED:
            continue
        kept += 1
        is_beyond = retention.keep_runs is not None and kept > retention.keep_runs
        is_old = before is not None and datetime.fromisoformat(root.created) < before
        if is_beyond or is_old:
            deleted += await _delete_tree(server, root.run_id)
    return deleted


async def _delete_tree(server: ServerPlace, root: str) -> int:
    """How many were deleted. What is open is left, with what is above it."""
    runs = await server.tree(root)
    if any(run.status not in _ENDED for run in runs):
        return 0
    deleted = 0
    for run in runs:  # newest first: children began after their parents
        try:
            await server.delete(run.run_id)
            deleted += 1
        except (UnknownRun, RunOpen):  # somebody else was quicker
            continue
    return deleted


def _query(wanted: RunFilter) -> dict[str, str | None]:
    """The filters of a list as a query."""
    since, until, meta = wanted.get("since"), wanted.get("until"), wanted.get("meta") or {}
    return {
        "status": wanted.get("status"),
        "workflow": wanted.get("workflow"),
        "since": since and since.isoformat(),
        "until": until and until.isoformat(),
        "question": "1" if wanted.get("question") else None,
        **{f"meta.{name}": text for name, text in meta.items()},
    }
