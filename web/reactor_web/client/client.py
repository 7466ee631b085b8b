"""``Client``: starts runs on a server, finds them and follows them, as ``reactor.Engine`` does in process."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from datetime import datetime
from types import TracebackType
from typing import Any, NoReturn, Self, Unpack
from urllib.parse import quote

import aiohttp

from reactor import bounds
from reactor.definition.names import names_its_options
from reactor.definition.policy import Budget
from reactor.definition.task import Task
from reactor.definition.workflow import Workflow
from reactor.errors import NotAwaited
from reactor.events.vocabulary import RunStatus
from reactor.ports.index import RunFilter
from reactor.requests import check_listing, check_run_id, make_run_id, seconds_problem, whole_number_problem
from reactor.runs.all_events import check_runs
from reactor.runs.positions import START, TreeCursor, TreeEvent
from reactor.waiting import methods_must_be_awaited
from reactor_web.client.answer import Answer
from reactor_web.client.asking import Asking
from reactor_web.client.bearer import Token
from reactor_web.client.connection import Connection, Settings
from reactor_web.client.followed import Followed
from reactor_web.client.listed import ListedRun, listed
from reactor_web.client.messages import message_of, not_an_event
from reactor_web.client.run import RemoteRun
from reactor_web.client.schedules import ScheduleCalls
from reactor_web.client.session import RemoteSession
from reactor_web.client.starting import plan_document, start_body, start_options

MAX_PAGE = 1_000
"""Runs in one answer of a listing."""


@names_its_options(start="client.start", ensure="client.ensure", session="client.session")
@methods_must_be_awaited("client")
class Client(Asking, ScheduleCalls):
    """Runs workflows on a server, with the methods of ``Engine``.

        async with Client("http://127.0.0.1:8080") as client:
            run = await client.start("report", {"topic": "tea"})
            outputs = await run

    - ``url``: of the server, to which ``/api/v1`` is added, or of the routes, ``http://host/prefix``.
    - ``token``: sent as ``Authorization: Bearer``. A function, async or not, is called for the first request, and again
      after an answer of 401.
    - ``headers``: sent with every request.
    - ``session``: an ``aiohttp.ClientSession`` of yours, which stays open; else the client has its own. Its limit of
      connections holds for streams too.
    - ``timeout``: seconds for the answer to one request. A stream has no limit.
    - ``tries``: how often a request is sent before its error is raised: again after lost connections, 408, 425, 429,
      502, 503 and 504. Each change has an ``Idempotency-Key``, the same in each try, so none is made twice.
    - ``max_failures``: how many connections of a stream in a row may bring nothing before StreamUnavailable.
    - ``on_connection``: called with a sentence when a stream loses its connection, and when it has a new one.
    - ``sleep``: waits so many seconds before the next try or connection; for tests.

    Raises ValueError for what is no URL, and for a number below 1. A client belongs to one event loop; ``SyncClient``
    needs none. When it closes, whatever follows or waits gets ClientClosed: loops, ``await run``, subscribers.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token = None,
        headers: Mapping[str, str] | None = None,
        session: aiohttp.ClientSession | None = None,
        timeout: float = 30.0,
        tries: int = 5,
        max_failures: int = 30,
        on_connection: Callable[[str], None] | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        if (problem := whole_number_problem(tries, 1) or whole_number_problem(max_failures, 1)) is not None:
            raise ValueError(f"tries and max_failures of a Client: each {problem}")
        settings = Settings(timeout, tries, max_failures, on_connection, sleep)
        self.connection = Connection(url, token=token, headers=headers or {}, session=session, settings=settings)
        """For requests that have no method here: ``connection.ask``."""

    @property
    def url(self) -> str:
        """Of the routes: ``http://127.0.0.1:8080/api/v1``."""
        return self.connection.base

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.connection.close()

    def __enter__(self) -> NoReturn:
        raise NotAwaited("a Client is closed by its loop: write async with Client(...), or with SyncClient(...)")

    def __exit__(self, *_: object) -> None: ...  # without it ``with`` does not ask for the one above

    async def close(self) -> None:
        """Closes the client; the runs go on. What still follows or waits gets ClientClosed."""
        await self.connection.close()

    # --- start ---

    async def start(
        self,
        workflow: Workflow | str,
        input: Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
    ) -> RemoteRun:
        """Starts a run; returns once its ``run.started`` is in the log.

        ``workflow``: its name on the server, or the Workflow of that name; one that was loaded from a plan is sent.
        Raises InputError, PlanError, RunExists, UnknownWorkflow, EngineClosed, or ValueError for a ``run_id``, ``meta``
        or ``budget`` that is not valid.
        """
        if isinstance(workflow, Workflow) and workflow.plan is not None:
            return await self.start_plan(workflow.plan, run_id=run_id, meta=meta, budget=budget)
        body = start_body(workflow, input, meta, budget)
        if run_id is None:
            return (await self._put(make_run_id(), body))[0]  # nobody else has this id: a run that exists is ours
        # not PUT, which would give a run that exists: only the key tells a repeated request from another one
        name, followed = quote(body.pop("workflow"), safe=""), Followed(check_run_id(run_id), self.connection)
        answer = await self.connection.ask("POST", f"/workflows/{name}/runs", body={**body, "run_id": run_id})
        followed.tell(answer.json)
        return RemoteRun(followed)

    async def ensure(
        self,
        workflow: Workflow | str,
        input: Mapping[str, Any] | None = None,
        *,
        run_id: str,
        meta: Mapping[str, Any] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
    ) -> tuple[RemoteRun, bool]:
        """Starts a run with this id, or returns the one that was started before: (run, whether it is new).

        Raises RunExists where the existing run was started with anything else, and what ``start`` raises.
        """
        run, answer = await self._put(check_run_id(run_id), start_body(workflow, input, meta, budget))
        return run, answer.status == 201

    async def start_plan(
        self,
        plan: Mapping[str, Any] | str | bytes,
        *,
        run_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
    ) -> RemoteRun:
        """Starts a run of a plan, a dict or its JSON, that the tools of the server carry out. Raises PlanError, …"""
        document = plan_document(plan)
        given = document.get("run_id") if run_id is None else run_id
        id = make_run_id() if given is None else check_run_id(given)
        body = {**document, "run_id": id, **start_options(meta, budget)}
        followed = Followed(id, self.connection)
        followed.tell((await self.connection.ask("POST", "/runs", body=body)).json)
        return RemoteRun(followed)

    async def session(
        self,
        run_id: str,
        *,
        meta: Mapping[str, Any] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
        idle: float | None = None,
    ) -> RemoteSession:
        """A run without tasks, whose events come from outside; the same call again gives the same session.

        ``idle``: it is closed as failed when nothing was said in it for so many seconds. Raises RunExists where there
        is a run of this id that was started in another way; ValueError.
        """
        if idle is not None and (problem := seconds_problem(idle)) is not None:
            raise ValueError(f"the idle of a session {problem}")
        given = {} if idle is None else {"idle": idle}
        run, _ = await self._put(check_run_id(run_id), {"session": True, **start_options(meta, budget), **given})
        return RemoteSession(run._followed)  # pyright: ignore[reportPrivateUsage]  # the same handle, with ``close``

    async def _put(self, run_id: str, body: dict[str, Any]) -> tuple[RemoteRun, Answer]:
        followed = Followed(run_id, self.connection)
        answer = await self.connection.ask("PUT", followed.path, body=body)
        followed.tell(answer.json)
        return RemoteRun(followed), answer

    # --- find ---

    def run(self, run_id: str, *, await_run: float | None = None) -> RemoteRun:
        """The handle on a run, without a request; what asks for it raises UnknownRun where there is none.

        ``await_run``: seconds, at most 300, for which its streams wait for a run that has not started.
        """
        return RemoteRun(Followed(check_run_id(run_id), self.connection, await_run=await_run))

    async def get(self, run_id: str) -> RemoteRun:
        """The run of this id, open or ended, with its state; raises UnknownRun. A session is a RemoteSession."""
        followed = Followed(check_run_id(run_id), self.connection)
        body = await followed.fetch()
        return RemoteSession(followed) if body.get("session") else RemoteRun(followed)

    async def list(
        self,
        *,
        status: RunStatus | None = None,
        workflow: str | None = None,
        parent: str | None = None,
        root: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        meta: Mapping[str, str] | None = None,
        question: bool | None = None,
        open: bool | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> builtins.list[ListedRun]:
        """Runs, newest first. ``before``: the id that the previous page ended with; raises UnknownRun.

        ``parent``: the child runs of this run. ``root``: this run and all runs below it. ``since``, ``until``: those
        that have started then or later, and before; with a time zone. ``meta``: those with these members of meta, each
        with its text, or with the JSON of a value that is no text. ``question=True``: those that wait for an answer;
        ``open=True``: those that have not ended.
        """
        check_listing(status, limit, since=since, until=until, meta=meta)
        asked = {
            "status": status, "workflow": workflow, "parent": parent, "root": root,
            "since": since and since.isoformat(), "until": until and until.isoformat(),
            "question": "1" if question else None, "open": "1" if open else None,
            **{f"meta.{name}": text for name, text in (meta or {}).items()},
        }  # fmt: skip
        found: builtins.list[ListedRun] = []
        while len(found) < limit:
            size = min(MAX_PAGE, limit - len(found))
            query = {**asked, "cursor": before, "limit": str(size)}
            page = (await self.connection.ask("GET", "/runs", query=query)).json
            try:
                found += map(listed, page["runs"])
            except (KeyError, TypeError, AttributeError) as error:
                raise page.refused("what is not a list of runs") from error
            if page["cursor"] is None or not page["runs"]:
                break
            before = page["cursor"]
        return found

    async def runs(self, **wanted: Unpack[RunFilter]) -> AsyncIterator[ListedRun]:
        """All runs, newest first, page by page: ``async for record in client.runs(status="failed")``."""
        before = None
        while page := await self.list(**wanted, before=before, limit=100):
            for record in page:
                yield record
            before = page[-1].run_id

    # --- many runs ---

    def all_events(
        self,
        after: TreeCursor | str | int = START,
        *,
        workflow: str | None = None,
        parent: str | None = None,
        meta: Mapping[str, str] | None = None,
        runs: Iterable[str] | None = None,
    ) -> AsyncGenerator[TreeEvent, None]:
        """The events of all runs in the order in which they were committed, from a cursor on; it ends with the client.

        Only of runs of this ``workflow``, only the child runs of ``parent``, only those with these members of ``meta``.
        Only of ``runs``, 1 to 100 ids, which need not have started. Each has its ``message`` and the ``cursor`` that
        goes on after it. Raises TypeError and ValueError for a bad ``after`` or bad ``runs``, RequestRefused for a log
        that does not keep that order.
        """
        query = {f"meta.{name}": value for name, value in (meta or {}).items()}
        ids = None if runs is None else ",".join(check_runs(runs))
        query |= {"workflow": workflow, "parent": parent, "runs": ids}
        return self._positions("/events", query, TreeCursor.of(after))

    async def tree_events(self, run_id: str, after: TreeCursor | str | int = START) -> AsyncGenerator[TreeEvent, None]:
        """The events of a run and of all runs below it: ``async for event in await client.tree_events(run_id)``."""
        cursor = TreeCursor.of(after)
        run = await self.get(run_id)
        return self._positions(f"/runs/{run.id}/events", {"children": "1"}, cursor)

    async def _positions(
        self, path: str, query: Mapping[str, str | None], cursor: TreeCursor
    ) -> AsyncGenerator[TreeEvent, None]:
        after = "" if cursor == START else str(cursor)
        async with aclosing(self.connection.frames(path, query, after)) as frames:
            async for frame in frames:
                if frame.event == "stream.end":
                    return
                message = message_of(self.connection.url(path), frame)
                if frame.id:
                    try:
                        cursor = TreeCursor.of(frame.id)
                    except ValueError as error:
                        raise not_an_event(self.connection.url(path), frame, "its id is no cursor") from error
                part = cursor.part
                yield TreeEvent(message, cursor.position + (part > 0), part)

    # --- commands, by the id of the run ---

    async def cancel(
        self,
        run_id: str,
        grace: float = bounds.CANCEL_GRACE_SECONDS,
        *,
        task: str | Task[..., Any] | None = None,
        reason: str = "requested",
    ) -> RemoteRun:
        """Asks a run, or one ``task`` of it, to end; returns once the request is in the log.

        Raises UnknownRun, RunEnded, and for the task UnknownTask, TaskEnded.
        """
        run = self.run(run_id)
        await run.request_cancel(grace, task=task, reason=reason)
        return run

    async def retry(self, run_id: str, *, new_run_id: str | None = None, from_task: str | None = None) -> RemoteRun:
        """``retry`` of this run. Raises UnknownRun, UnknownTask, RunOpen, WorkflowChanged, RunExists."""
        return await self.run(run_id).retry(new_run_id=new_run_id, from_task=from_task)

    async def delete(self, run_id: str) -> None:
        """Removes an ended run and all that is stored of it. Raises UnknownRun; RunOpen while it may be needed."""
        await self.run(run_id).delete()

    def __repr__(self) -> str:
        return f"<Client of {self.url}>"
