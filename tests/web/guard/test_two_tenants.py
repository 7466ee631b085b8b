"""Two tenants with the same ids and keys, in any order of what they do: each has what it would have alone."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import AsyncExitStack
from typing import Any, Final, cast

import aiohttp
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reactor import Cache, Workflow
from tests.helpers.server import API
from tests.web.guard.world import HOST, MINE, THEIRS, World, world

WHO: Final = {MINE: "all", THEIRS: "foreign"}
LAST: Final = "zz-last"
"""The run that each tenant starts at the end: its streams have everything before it."""
NDJSON: Final = {"Accept": "application/x-ndjson"}

Op = tuple[str, str, Any, dict[str, str]]
"""Method, path, body, headers."""

ids = st.sampled_from(["a", "b"])
keys = st.sampled_from([{}, {"Idempotency-Key": "k1"}, {"Idempotency-Key": "k2"}])
flows = st.sampled_from(["small", "asking", "nested", "costly"])


def op(method: str, path: str, body: Any = None, **headers: str) -> Op:
    return method, path, body, headers


def _start(flow: str, id: str, key: dict[str, str]) -> Op:
    return op("POST", f"/workflows/{flow}/runs", {"run_id": id}, **key)


def _below(id: str, below: str) -> Op:
    return op("POST", f"/runs/{id}/input", {"task": "ask", "value": 7, "run": below})


def _on_run(id: str, key: dict[str, str]) -> st.SearchStrategy[Op]:
    """Anything that is asked about a run."""
    run = f"/runs/{id}"
    return st.sampled_from([
        op("GET", run), op("GET", f"{run}?dialect=agents"), op("GET", f"{run}/tasks/ask/output"),
        op("GET", f"{run}/events"), op("GET", f"{run}/events?children=1"), op("GET", f"{run}/events?after=2&limit=2"),
        op("GET", f"{run}/events?await_run=0"), op("GET", f"/events?runs={id}"), op("GET", f"/runs?cursor={id}"),
        op("GET", f"/runs?root={id}"), op("GET", f"/own/{id}/state"), op("GET", f"/own/chat/{id}/stream"),
        op("POST", f"{run}/input", {"task": "ask", "value": 7}, **key), op("POST", f"{run}/cancel"),
        op("POST", f"{run}/pause"), op("POST", f"{run}/resume"), op("POST", f"{run}/close"),
        op("POST", f"{run}/retry", {"run_id": "b"}, **key), op("POST", f"{run}/events", {"type": "said"}, **key),
        op("PUT", run, {"workflow": "small"}), op("PUT", run, {"session": True}), op("DELETE", run),
        op("POST", f"/own/chat/{id}/stop"), op("PUT", run, {"workflow": "small"}, Prefer="wait=5"),
    ])  # fmt: skip


ops: st.SearchStrategy[Op] = st.one_of(
    st.builds(_start, flows, ids, keys),
    st.builds(_start, flows, ids, keys),
    st.builds(_below, ids, ids),
    st.tuples(ids, keys).flatmap(lambda pair: _on_run(*pair)),
    st.tuples(ids, keys).flatmap(lambda pair: _on_run(*pair)),
    st.sampled_from([op("GET", "/runs"), op("GET", "/runs?limit=1"), op("GET", "/events"), op("GET", "/workflows")]),
)
turns = st.lists(st.tuples(st.sampled_from([MINE, THEIRS]), ops), min_size=6, max_size=24)


def _costly() -> Workflow:
    """Its events say whether its output was computed before."""
    flow = Workflow("costly")

    @flow.task(cache=Cache())
    async def compute(number: int = 1) -> str:
        return "computed"

    return flow


# --- what somebody has seen, without what may differ ------------------------------------------------------------

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
_MADE: Final = re.compile(r"\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b")
_AT: Final = ("position", "cursor", "ms", "seconds", "elapsed_ms", "duration_ms")
"""Positions in the log, and how long something took."""


def plain(value: Any, place: str = "") -> Any:
    """Without times, and without positions; a cursor stays where it is the id of a run."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        if {"run_id", "seq", "status", "events"} <= members.keys():  # a start: how far the run is by then is a race
            members = {**members, "seq": "N", "status": "N"}
        return {name: plain(one, name) for name, one in members.items()}
    if isinstance(value, list):
        return [plain(one, place) for one in cast("list[Any]", value)]
    if isinstance(value, str):
        return "N" if place == "cursor" and not value.isalpha() else _MADE.sub("MADE", _TIME.sub("TIME", value))
    return "N" if place in _AT or place.endswith("_ms") or isinstance(value, float) else value


class Seen:
    """What one tenant has seen in one server."""

    def __init__(self, here: World, tenant: str, stack: AsyncExitStack) -> None:
        self.here = here
        self.tenant = tenant
        self.answers: list[Any] = []
        self._stack = stack
        self._streams: list[asyncio.Task[list[Any]]] = []

    async def follow(self) -> None:
        """Opens streams that see everything: of all runs, of a run and those below it, on a WebSocket."""
        for path, until in (("/events", "completed"), (f"/runs/{LAST}/events?await_run=60&children=1", "stream.end")):
            request = self.here.session.get(f"{self.here.url}{API}{path}", headers={**self._who, **NDJSON})
            response = await self._stack.enter_async_context(request)
            assert response.status == 200
            self._streams.append(asyncio.ensure_future(_lines(response.content, until)))
        url = f"{self.here.url}{API}/runs/a/ws?await_run=60"
        socket = await self._stack.enter_async_context(self.here.session.ws_connect(url, headers=self._who))
        self._streams.append(asyncio.ensure_future(_messages(socket)))

    @property
    def _who(self) -> dict[str, str]:
        return {HOST: WHO[self.tenant]}

    async def do(self, given: Op) -> None:
        method, path, body, headers = given
        url = self.here.url + (path if path.startswith("/own") else API + path)
        options: dict[str, Any] = {} if method in ("GET", "DELETE") else {"json": body or {}}
        accept = {} if "/chat/" in path and method == "GET" else {"Accept": "application/json"}
        async with self.here.session.request(method, url, headers={**self._who, **accept, **headers}, **options) as got:
            location = got.headers.get("Location", "")
            raw = b"" if "event-stream" in got.content_type else await got.read()
            answer = plain(json.loads(raw)) if raw else None
            if (
                got.status == 201 and "Prefer" not in headers
            ):  # how far a new run is when its start is answered is a race
                answer |= {name: "N" for name in ("seq", "status") if name in answer}
            self.answers.append((given, got.status, plain(location), answer))
            if "event-stream" in got.content_type:
                got.close()
        await self.settle()

    async def settle(self) -> None:
        """Waits until every run of the tenant has ended, or waits for somebody."""
        for run in self.here.engine.running(tenant=self.tenant):
            async for _ in run:
                if run.state.workflow in ("asking", "session") or run.state.status == "paused":
                    break
                if run.state.workflow == "nested" and run.state.tasks:
                    break
        for _ in range(20):
            await asyncio.sleep(0)

    async def finish(self) -> list[Any]:
        """All that was seen, streams too."""
        for id in ("a", "b"):
            await self.do(op("PUT", f"/runs/{id}", {"workflow": "small"}))
            await self.do(op("POST", f"/runs/{id}/cancel", {"grace": 0}))
            run = await self.here.engine.get(id, tenant=self.tenant)
            await run.ended()
        await self.do(op("PUT", f"/runs/{LAST}", {"workflow": "small"}, Prefer="wait=5"))
        await self.do(op("GET", "/runs"))
        async with asyncio.timeout(20):
            return [self.answers, *await asyncio.gather(*self._streams)]


async def _lines(content: aiohttp.StreamReader, until: str) -> list[Any]:
    found: list[Any] = []
    async for line in content:
        if line.strip():
            found.append(plain(json.loads(line)))
            if (f"run.{until}" == found[-1]["type"] and found[-1]["run_id"] == LAST) or until == found[-1]["type"]:
                break
    return found


async def _messages(socket: Any) -> list[Any]:
    found: list[Any] = []
    async for message in socket:
        found.append(plain(json.loads(message.data)))
        if found[-1].get("type") == "stream.end":
            break
    return found


async def seen_in(turns: list[tuple[str, Op]], tenants: tuple[str, ...]) -> dict[str, list[Any]]:
    """What each of these tenants sees in a new server where they, and nobody else, do what is theirs of ``turns``."""
    async with world() as here, AsyncExitStack() as stack:
        here.engine.register(_costly())
        found = {tenant: Seen(here, tenant, stack) for tenant in tenants}
        for one in found.values():
            await one.follow()
        for tenant, given in turns:
            if tenant in found:
                await found[tenant].do(given)
        return {tenant: await one.finish() for tenant, one in found.items()}


SAME: Final = [
    (tenant, given)
    for given in (
        _start("costly", "a", {"Idempotency-Key": "k1"}), _start("asking", "b", {"Idempotency-Key": "k2"}),
        op("POST", "/runs/b/events", {"type": "said"}, **{"Idempotency-Key": "k1"}),
        op("POST", "/runs/b/input", {"task": "ask", "value": 7}, **{"Idempotency-Key": "k1"}),
        op("POST", "/runs/a/retry", {"run_id": "c"}, **{"Idempotency-Key": "k3"}), op("GET", "/runs/a/events"),
        op("DELETE", "/runs/a"), _start("nested", "a", {}), op("GET", "/runs/a"),
        op("GET", "/runs/a/events?children=1"),
    )
    for tenant in (MINE, THEIRS)
]  # fmt: skip
"""Both do the same, one after the other."""


@pytest.mark.slow
@example(SAME)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(turns)
def test_each_of_two_tenants_sees_what_it_would_see_alone(turns: list[tuple[str, Op]]) -> None:
    """Status, body and place of every answer, every event of every stream; positions in the log and times apart."""
    both = asyncio.run(seen_in(turns, (MINE, THEIRS)))
    for tenant in (MINE, THEIRS):
        alone = asyncio.run(seen_in(turns, (tenant,)))[tenant]
        for number, (together, single) in enumerate(zip(both[tenant], alone, strict=True)):
            assert together == single, f"{tenant}, {'answers' if number == 0 else f'stream {number}'}"
