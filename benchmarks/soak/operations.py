"""What the clients of the soak do, one after the other. An operation raises AssertionError where something is wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Final

import aiohttp
import orjson

from benchmarks.soak import streams
from benchmarks.soak.logged import Logged, check_same

DIALECTS: Final = ("native", "execution", "agents", "steps", "domain", "timeline", "ag-ui", "ai-sdk", "cloudevents")


class Clients:
    """One program's clients: a session, a log to compare with, and names for their runs."""

    def __init__(self, http: aiohttp.ClientSession, url: str, logged: Logged, name: str) -> None:
        self.http, self.url, self.logged = http, url, logged
        self.chance = random.Random(name)
        self._names = (f"{name}-{number}" for number in count())
        self.streams = self.events = 0

    # --- asking ---

    async def ask(self, method: str, path: str, body: Any = None, expect: int = 0, **headers: str) -> Any:
        async with self.http.request(method, self.url + path, json=body, headers=headers) as response:
            raw = await response.read()
            assert response.status == expect or (not expect and response.status < 300), (
                f"{method} {path} is answered {response.status}: {raw[:300]!r}"
            )
            return orjson.loads(raw) if raw else None

    async def start(self, workflow: str, **input: Any) -> str:
        run_id = next(self._names)
        await self.ask("PUT", f"/runs/{run_id}", {"workflow": workflow, "input": input})
        return run_id

    def events_of(self, run_id: str) -> str:
        return f"{self.url}/runs/{run_id}/events"

    async def seen(self, run_id: str, type: str) -> None:
        """Until the run has an event of this type."""
        async with self.http.get(f"{self.events_of(run_id)}?types={type}") as response:
            async for _ in response.content:
                return

    def check(self, what: str, shown: list[bytes], logged: list[bytes]) -> None:
        check_same(what, shown, logged)
        self.streams += 1
        self.events += len(shown)

    # --- the operations ---

    async def chain(self) -> None:
        """A run, followed whole, and the state that follows from it."""
        run_id = await self.start("chain", n=5)
        whole = await streams.frames(self.http, self.events_of(run_id))
        self.check(f"chain {run_id}", whole.events, self.logged.events(run_id))
        state = await self.ask("GET", f"/runs/{run_id}")
        assert (state["status"], state["outputs"]) == ("completed", {"third": 11}), state

    async def fan(self) -> None:
        """A map: five clients, each cut off again and again; one of some types alone."""
        run_id = await self.start("fan", count=60)
        url = self.events_of(run_id)
        reading = asyncio.ensure_future(streams.frames(self.http, f"{url}?types=task.completed,run.*"))
        cuts = [streams.frames(self.http, url, cut_every=self.chance.randint(5, 60)) for _ in range(5)]
        whole, some = await asyncio.gather(*cuts), await reading
        logged = self.logged.events(run_id)
        for one in whole:
            self.check(f"fan {run_id}", one.events, logged)
        wanted = [event for event in logged if b'"type":"task.completed"' in event or b'"type":"run.' in event]
        self.check(f"fan {run_id}, some types", some.events, wanted)

    async def tree(self) -> None:
        """Child runs and theirs, in the order in which they were committed."""
        run_id = await self.start("parent")
        whole = await streams.frames(self.http, f"{self.events_of(run_id)}?children=1", cut_every=9)
        self.check(f"tree {run_id}", whole.events, self.logged.tree(run_id))

    async def retries(self) -> None:
        """Attempts that fail and that are late; lines of JSON."""
        run_id = await self.start("shaky")
        self.check(
            f"retries {run_id}", await streams.lines(self.http, self.events_of(run_id)), self.logged.events(run_id)
        )

    async def questions(self) -> None:
        """Asked and answered on a WebSocket."""
        run_id = await self.start("asking")
        found: list[bytes] = []
        async with self.http.ws_connect(f"{self.url}/runs/{run_id}/ws") as socket:
            async for frame in socket:
                message = orjson.loads(frame.data)
                if "seq" in message and "reply" not in message:
                    found.append(frame.data.encode())
                if message.get("type") == "task.waiting":
                    key = message["data"]["key"]
                    answer = {"id": key, "command": "input", "task": "ask", "key": key, "value": f"answer {key}"}
                    await socket.send_json(answer)
        self.check(f"questions {run_id}", found, self.logged.events(run_id))

    async def processes(self) -> None:
        run_id = await self.start("computed", n=50_000)
        whole = await streams.frames(self.http, self.events_of(run_id))
        self.check(f"process {run_id}", whole.events, self.logged.events(run_id))

    async def dialects(self) -> None:
        """Of each dialect one client that is cut off, and one that comes later, are shown the same frames."""
        run_id = await self.start("speaking")
        urls = {name: f"{self.events_of(run_id)}?dialect={name}" for name in DIALECTS}
        live = await asyncio.gather(*(streams.frames(self.http, url, cut_every=25, after="0") for url in urls.values()))
        for (name, url), one in zip(urls.items(), live, strict=True):
            later = await streams.frames(self.http, url, after="0")
            ids = [frame.id for frame in one.frames if frame.id]
            assert len(ids) == len(set(ids)), f"{name} of {run_id} sent an id twice"
            self.check(f"{name} of {run_id}", framed(one), framed(later))
            if name == "native":
                self.check(f"speaking {run_id}", one.events, self.logged.events(run_id))

    async def stalls(self) -> None:
        """Three clients that do not read 4 MB, beside one that does."""
        run_id = await self.start("flood")
        url = self.events_of(run_id)
        stalled = [streams.stall(self.http, url, self.chance.uniform(0.5, 3.0)) for _ in range(3)]
        whole, *_ = await asyncio.gather(streams.frames(self.http, url), *stalled)
        self.check(f"flood {run_id}", whole.events, self.logged.events(run_id))
        output = await self.ask("GET", f"/runs/{run_id}/tasks/pour/output")
        assert len(output) == 200_000

    async def cancels(self) -> None:
        """By a command; by a client that goes and has asked for that."""
        run_id = await self.start("endless")
        following = asyncio.ensure_future(streams.frames(self.http, self.events_of(run_id)))
        await self.seen(run_id, "task.started")
        if self.chance.random() < 0.5:
            await self.ask("POST", f"/runs/{run_id}/cancel", {"reason": "enough", "grace": 5}, 202)
        else:
            async with self.http.get(f"{self.events_of(run_id)}?on_disconnect=cancel"):
                pass
        self.check(f"cancelled {run_id}", (await following).events, self.logged.events(run_id))

    async def pauses(self) -> None:
        """While it is paused it is answered; what comes after starts when it is resumed."""
        run_id = await self.start("asking")
        following = asyncio.ensure_future(streams.frames(self.http, self.events_of(run_id)))
        await self.seen(run_id, "task.waiting")
        await self.ask("POST", f"/runs/{run_id}/pause", {"reason": "lunch"}, 202)
        for n in range(3):
            await self.ask("POST", f"/runs/{run_id}/input", {"task": "ask", "key": f"q{n}", "value": f"{n}"}, 202)
        await self.seen(run_id, "task.completed")
        state = await self.ask("GET", f"/runs/{run_id}")
        assert (state["status"], state["tasks"]["after"]["status"]) == ("paused", "pending"), state
        await self.ask("POST", f"/runs/{run_id}/resume", {"reason": "back"}, 202)
        self.check(f"paused {run_id}", (await following).events, self.logged.events(run_id))

    async def sessions(self) -> None:
        """Two writers, each of whom says everything twice under one key; it is there once."""
        run_id = next(self._names)
        await self.ask("PUT", f"/runs/{run_id}", {"session": True})
        following = asyncio.ensure_future(streams.frames(self.http, self.events_of(run_id), cut_every=7))

        async def write(writer: int) -> None:
            for n in range(10):
                body = {"type": "soak.said", "data": {"writer": writer, "n": n}}
                for _ in range(2):
                    key = f"{writer}-{n}"
                    await self.ask("POST", f"/runs/{run_id}/events", body, 202, **{"Idempotency-Key": key})

        await asyncio.gather(write(1), write(2))
        await self.ask("POST", f"/runs/{run_id}/close", {"outputs": {"said": 20}}, 202)
        logged = self.logged.events(run_id)
        assert len(logged) == 22, f"session {run_id} has {len(logged)} events"
        self.check(f"session {run_id}", (await following).events, logged)

    async def polls(self) -> None:
        run_id = await self.start("fan", count=10)
        found = await streams.pages(self.http, self.events_of(run_id))
        self.check(f"pages {run_id}", list(map(orjson.dumps, found)), _again(self.logged.events(run_id)))

    async def all_runs(self) -> None:
        """The events of two runs among all others, and then some pages and listings."""
        names = [await self.start("chain"), await self.start("shaky")]
        url, wanted = f"{self.url}/events?runs={','.join(names)}", 0
        found: dict[str, list[bytes]] = {name: [] for name in names}
        async with self.http.get(url, headers={"Accept": "application/x-ndjson"}) as response:
            async for line in response.content:
                if line.strip():
                    event = orjson.loads(line)
                    found[event["run_id"]].append(orjson.dumps({k: v for k, v in event.items() if k != "cursor"}))
                    wanted += event["type"].startswith("run.") and event["type"] != "run.started"
                if wanted == len(names):
                    break
        for name in names:
            self.check(f"all runs, {name}", found[name], _again(self.logged.events(name)))
        await self.ask("GET", "/runs?limit=50&status=completed")

    async def again(self) -> None:
        """A run that fails is tried again, twice under one key."""
        run_id = await self.start("failing")
        await streams.frames(self.http, self.events_of(run_id))
        new = next(self._names)
        for _ in range(2):
            key = {"Idempotency-Key": f"retry-{run_id}"}
            await self.ask("POST", f"/runs/{run_id}/retry", {"run_id": new}, 202, **key)
        whole = await streams.frames(self.http, f"{self.events_of(new)}?snapshot=1")
        logged = self.logged.events(new)
        self.check(f"again {new}", whole.events, logged[len(logged) - len(whole.events) :])

    async def plans(self) -> None:
        """A graph that nobody has seen before."""
        run_id, n = next(self._names), self.chance.randint(1, 1_000_000)
        tasks = [
            {"id": "one", "tool": "soak.add", "input": {"a": n, "b": 1}},
            {"id": f"two_{n}", "tool": "soak.add", "input": {"a": "$one", "b": 1}},
        ]
        await self.ask("POST", "/runs", {"run_id": run_id, "tasks": tasks}, 201)
        whole = await streams.frames(self.http, self.events_of(run_id))
        self.check(f"plan {run_id}", whole.events, self.logged.events(run_id))

    async def refusals(self) -> None:
        """What cannot be; and a client that leaves in the middle of its request."""
        await self.ask("GET", "/runs/no-such-run", expect=404)
        await self.ask("PUT", f"/runs/{next(self._names)}", {"workflow": "chain", "input": {"m": 1}}, 422)
        await self.ask("GET", "/runs/no-such-run/events?throttle=never", expect=400)
        run_id = await self.start("endless")
        await self.ask("POST", f"/runs/{run_id}/input", {"task": "none", "value": 1}, 404)
        await self.ask("POST", f"/runs/{run_id}/cancel", {}, 202)
        left = next(self._names)
        waiting = self.ask("POST", "/workflows/endless/runs", {"run_id": left}, Prefer="wait=30")
        try:
            await asyncio.wait_for(waiting, 0.2)
        except TimeoutError:
            pass
        # it goes on, and its body has a thread: on a fast machine all 32 would be taken before the round is over
        await self.ask("GET", f"/runs/{left}/events?await_run=30&limit=1", Accept="application/json")
        await self.ask("POST", f"/runs/{left}/cancel", {"reason": "left"}, 202)

    async def deletes(self) -> None:
        run_id = await self.start("parent")
        await streams.frames(self.http, self.events_of(run_id))
        await self.ask("DELETE", f"/runs/{run_id}", expect=204)
        await self.ask("GET", f"/runs/{run_id}", expect=404)

    async def compressed(self) -> None:
        run_id = await self.start("chain", n=50)
        headers = {"Accept-Encoding": "gzip"}
        async with self.http.get(f"{self.events_of(run_id)}?compress=1", headers=headers) as response:
            text = await response.read()
        found = [line[6:] for line in text.split(b"\n") if line.startswith(b'data: {"seq":')]
        self.check(f"compressed {run_id}", found, self.logged.events(run_id))


def framed(whole: streams.Whole) -> list[bytes]:
    """The frames of a dialect, without those that have no id: they belong to one connection."""
    return [f"{frame.id} {frame.event} {frame.data}".encode() for frame in whole.frames if frame.id]


def _again(events: list[bytes]) -> list[bytes]:
    """As somebody has them who reads and writes JSON."""
    return [orjson.dumps(orjson.loads(event)) for event in events]


Operation = Callable[[Clients], Awaitable[None]]

OPERATIONS: Final[dict[str, Operation]] = {
    function.__name__: function
    for function in (
        Clients.chain, Clients.fan, Clients.tree, Clients.retries, Clients.questions, Clients.processes,
        Clients.dialects, Clients.stalls, Clients.cancels, Clients.pauses, Clients.sessions, Clients.polls,
        Clients.all_runs, Clients.again, Clients.plans, Clients.refusals, Clients.deletes, Clients.compressed,
    )
}  # fmt: skip
