"""``followShared`` in a real browser: all tabs of one user have one connection, and each has every event once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import reactor_web
from reactor import Context, Engine, Workflow
from tests.helpers.life import Life
from tests.helpers.server import Server
from tests.helpers.tabs import PATIENCE, Browser, Tab, Windows
from tests.helpers.tokens import FIRST, REST

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CONTEXTS = itertools.count(1)
EACH = pytest.mark.parametrize("worker", [True, False], ids=["worker", "election"])
"""With a SharedWorker, and where there is none."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()


COUNT_LISTENERS = """(() => {
window.listeners = new Set();
const { addEventListener: add, removeEventListener: remove } = EventTarget.prototype;
const isOfPage = (target) => target === undefined || target === window || target === document;
const name = (type, options) => `${type} ${Boolean(options)}`;
EventTarget.prototype.addEventListener = function (type, call, options) {
  if (isOfPage(this) && !String(call).includes("wasFrozen")) listeners.add(name(type, options));
  return add.call(this ?? window, type, call, options);
};
EventTarget.prototype.removeEventListener = function (type, call, options) {
  if (isOfPage(this)) listeners.delete(name(type, options));
  return remove.call(this ?? window, type, call, options);
};
})()"""
"""``listeners``: what listens to the page or its document, less what ``Tab.freeze`` does."""


class Speaker:
    """Runs that say what the test tells them, and end when it says so."""

    def __init__(self) -> None:
        self.lines: dict[str, asyncio.Queue[int]] = {}
        self.flow = Workflow("speaks")
        self.flow.task(self._speak, name="speak")

    async def _speak(self, name: str, ctx: Context) -> str:
        queue = self.lines.setdefault(name, asyncio.Queue())
        while count := await queue.get():
            for number in range(count):
                await ctx.chunk(f"{number} ")
                await ctx.committed()
        return "done"

    def say(self, run: str, count: int) -> None:
        """So many chunks, each an event; 0 ends the run."""
        self.lines.setdefault(run, asyncio.Queue()).put_nowait(count)


class Gate:
    """What stands before the routes: who asks, which connections are open, and what is refused."""

    def __init__(self) -> None:
        self.transports: dict[str, list[asyncio.BaseTransport | None]] = {}
        """Of the streams of several runs that were asked for, by the token they came with."""
        self.tokens: set[str] | None = None
        """Those that are taken; None: all, and none is needed. A run belongs to the token that its id begins with."""
        self.refused: list[str] = []
        """The tokens that were not taken."""
        self.everything: list[asyncio.BaseTransport | None] = []
        """The connections of all requests about runs."""
        self.is_old = False
        """A server that does not know ``runs=``."""

    @web.middleware
    async def pass_on(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if "/api/v1/runs/" not in request.path and "runs" not in request.query:
            return await handler(request)
        self.everything.append(request.transport)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.tokens is not None and token not in self.tokens and "runs" in request.query:
            self.refused.append(token)
            raise web.HTTPUnauthorized
        wanted = request.query.get("runs", request.path.partition("/runs/")[2]).split(",")
        if self.tokens is not None and not all(run.startswith(token.partition("-")[0]) for run in wanted):
            raise web.HTTPForbidden
        if "runs" in request.query:
            if self.is_old:
                return web.json_response({"status": 400, "detail": "there is no stream option 'runs'"}, status=400)
            self.transports.setdefault(token, []).append(request.transport)
        return await handler(request)

    def cut(self) -> None:
        """Cuts all connections of streams of several runs."""
        for transports in self.transports.values():
            self._abort(transports)

    def cut_all(self) -> None:
        """Cuts all connections about runs."""
        self._abort(self.everything)

    @staticmethod
    def _abort(transports: list[asyncio.BaseTransport | None]) -> None:
        for transport in transports:
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()


class Place(Server):
    speaker: Speaker
    windows: Windows
    gate: Gate

    async def tabs(self, count: int, *, worker: bool = True) -> list[Tab]:
        return list(await asyncio.gather(*[self.windows.tab(worker=worker) for _ in range(count)]))

    async def open_run(self, run: str) -> None:
        await self.engine.start("speaks", {"name": run}, run_id=run)

    async def until_streams(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.streams) != count:
                await asyncio.sleep(0.01)

    async def finish(self, run: str, *tabs: Tab) -> None:
        """Ends the run; then each tab must have had every event once, in order."""
        self.speaker.say(run, 0)
        await (await self.engine.get(run)).ended()
        last = (await self.engine.get(run)).state.seq
        for tab in tabs:
            await tab.until(f"streams['{run}'].status === 'ended'")
            assert await tab.seen(run) == list(range(1, last + 1))


@pytest.fixture
async def place(browser: Browser) -> AsyncIterator[Place]:
    engine = Engine("memory://", grace=0)
    speaker, gate = Speaker(), Gate()
    app = reactor_web.create_app(engine, [speaker.flow])
    app.middlewares.append(gate.pass_on)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=1)
    async with TestClient(server) as client:
        place = Place.of(client, engine, app)
        place.speaker, place.gate = speaker, gate
        place.windows = Windows(browser, str(client.make_url("")).rstrip("/"), f"c{next(CONTEXTS)}")
        yield place
        await place.windows.close()


# --- one connection ---------------------------------------------------------------------------------------------


@EACH
async def test_seven_tabs_have_one_connection_and_each_has_every_event_once(place: Place, worker: bool) -> None:
    """Six connections are all that a browser gives to an origin. Where there is a worker, no tab has that one."""
    await place.open_run("r1")
    place.speaker.say("r1", 20)
    tabs = await place.tabs(7, worker=worker)
    await asyncio.gather(*[tab.start("r1") for tab in tabs])
    for tab in tabs:
        await tab.until_seen("r1", 22)
    await place.until_streams(1)
    place.speaker.say("r1", 200)
    await place.finish("r1", *tabs)
    await place.until_streams(0)
    assert sum([await tab.asked("/events?runs=") for tab in tabs]) == (0 if worker else 1)


@EACH
async def test_the_tab_with_the_connection_closes_and_nothing_is_lost(place: Place, worker: bool) -> None:
    """It says so, and another goes on at once; events that come meanwhile come once."""
    await place.open_run("r1")
    tabs = await place.tabs(3, worker=worker)
    for tab in tabs:
        await tab.start("r1")
        await tab.until_seen("r1", 2)
    leading = [tab for tab in tabs if await tab.asked("/events?runs=")] or tabs[:1]
    place.speaker.say("r1", 300)
    await tabs[-1].until_seen("r1", 20)
    await leading[0].close()
    place.speaker.say("r1", 50)
    await place.finish("r1", *[tab for tab in tabs if tab not in leading])
    await place.until_streams(0)


async def test_the_tab_with_the_connection_crashes_and_nothing_is_lost(place: Place) -> None:
    """It says nothing any more, and its heartbeats are missed."""
    await place.open_run("r1")
    first = await place.windows.tab(worker=False)
    await first.start("r1")
    await first.until_seen("r1", 2)
    other = await place.windows.tab(worker=False)
    await other.start("r1")
    await other.until_seen("r1", 2)
    assert await first.asked("/events?runs=") == 1
    await first.crash()
    place.speaker.say("r1", 100)
    await place.finish("r1", other)
    assert await other.asked("/events?runs=") == 1


async def test_a_tab_that_comes_late_has_the_whole_run(place: Place) -> None:
    """Its past comes by pages. A run that has ended is not followed by anybody, and comes whole as well."""
    await place.open_run("r1")
    first = await place.windows.tab(worker=False)
    await first.start("r1")
    place.speaker.say("r1", 1500)
    await first.until_seen("r1", 1400)
    late = await place.windows.tab(worker=False)
    await late.start("r1")
    await late.until_seen("r1", 1000)
    assert len(place.streams) == 1
    await place.finish("r1", first, late)
    last = await place.windows.tab(worker=False)
    await last.start("r1")
    await place.finish("r1", last)
    await place.until_streams(0)


async def test_each_tab_has_its_own_runs_on_the_one_connection(place: Place) -> None:
    """A run that is added in the middle is told from its first event on; one that nobody follows any more costs
    nothing."""
    for run in ("r1", "r2", "r3"):
        await place.open_run(run)
        place.speaker.say(run, 30)
    one, other = await place.tabs(2)
    await one.start("r1")
    await one.until_seen("r1", 32)
    await other.start("r2")
    await other.start("r3")
    await other.until_seen("r2", 32)
    await other.until_seen("r3", 32)
    await place.until_streams(1)
    await other.run("streams.r2.close()")
    place.speaker.say("r2", 5)
    place.speaker.say("r3", 5)
    await place.finish("r3", other)
    await place.finish("r1", one)
    await place.until_streams(0)
    assert await other.seen("r2") == list(range(1, 33))
    assert await one.seen("r2") == await one.seen("r3") == []


async def test_a_tab_that_is_put_away_and_shown_again_has_what_it_missed(place: Place) -> None:
    """As by back and forward: meanwhile it holds nothing on the server."""
    await place.open_run("r1")
    tab = await place.windows.tab(worker=False)
    await tab.start("r1")
    await tab.until_seen("r1", 2)
    await place.until_streams(1)
    await tab.run("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    await place.until_streams(0)
    place.speaker.say("r1", 40)
    other = await place.windows.tab(worker=False)
    await other.start("r1")
    await other.until_seen("r1", 42)
    assert len(await tab.seen("r1")) == 2
    await tab.run("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    await tab.until_seen("r1", 42)
    await place.until_streams(1)
    await place.finish("r1", tab, other)


@EACH
async def test_a_tab_that_is_frozen_and_resumed_has_what_it_missed_once(place: Place, worker: bool) -> None:
    """As browsers do with tabs that nobody looks at. One that had the connection hands it over, and is one of the
    others when it is back."""
    await place.open_run("r1")
    frozen = await place.windows.tab(worker=worker)
    await frozen.start("r1")
    await frozen.until_seen("r1", 2)
    other = await place.windows.tab(worker=worker)
    await other.start("r1")
    await other.until_seen("r1", 2)
    assert await frozen.asked("/events?runs=") == (0 if worker else 1)
    await frozen.freeze()
    place.speaker.say("r1", 100)
    await other.until_seen("r1", 102)
    await place.until_streams(1)
    assert len(await frozen.seen("r1")) == 2
    await frozen.resume()
    place.speaker.say("r1", 100)
    await frozen.until_seen("r1", 202)
    await place.until_streams(1)
    await place.finish("r1", frozen, other)
    assert await other.asked("/events?runs=") == (0 if worker else 1)
    await place.until_streams(0)


@pytest.mark.parametrize("how", ["start", "startAlone"])
async def test_a_page_that_is_left_and_come_back_to_goes_on_where_it_was(place: Place, how: str) -> None:
    """By the cache for back and forward of the browser: the page is the same one, so its script does not begin anew."""
    await place.open_run("r1")
    tab = await place.windows.tab(worker=False)
    await tab.run(f"(() => {{ window.marks = 1; {how}('r1') }})()")
    await tab.until_seen("r1", 2)
    await place.until_streams(1)
    await tab.go_away(f"{place.url}/client/json.js")
    assert await tab.run("window.marks ?? 0") == 0
    await place.until_streams(0)  # meanwhile it holds nothing on the server
    place.speaker.say("r1", 100)
    await tab.go_back()
    assert await tab.run("window.marks") == 1
    await tab.until_seen("r1", 102)
    place.speaker.say("r1", 10)
    await place.finish("r1", tab)


async def test_a_stream_of_its_own_is_frozen_and_resumed(place: Place) -> None:
    """While the page is frozen it has no connection; when it is back it goes on at once, also where nobody looks at it.
    In the end nothing listens to the page any more."""
    await place.open_run("r1")
    tab = await place.windows.tab()
    await tab.run(COUNT_LISTENERS)
    await tab.run("startAlone('r1')")
    await tab.until_seen("r1", 2)
    assert await tab.run("[...listeners].some((name) => name.startsWith('freeze'))")
    for count in (100, 200):
        await tab.freeze()
        await place.until_streams(0)
        place.speaker.say("r1", 100)
        await tab.resume()
        await tab.until_seen("r1", 2 + count)
    assert await tab.run("statuses.every(([status]) => ['live', 'reconnecting'].includes(status))")
    await place.finish("r1", tab)
    assert await tab.run("[...listeners]") == []


# --- not from the beginning -------------------------------------------------------------------------------------


@EACH
async def test_a_stream_goes_on_after_an_event(place: Place, worker: bool) -> None:
    """``after``: in the tab that comes first, and in one that finds a connection. There is no state."""
    await place.open_run("r1")
    place.speaker.say("r1", 50)
    tabs = await place.tabs(2, worker=worker)
    for tab in tabs:
        await tab.start("r1", "{ after: 40 }")
        await tab.until_seen("r1", 12)
    place.speaker.say("r1", 20)
    place.speaker.say("r1", 0)
    await (await place.engine.get("r1")).ended()
    last = (await place.engine.get("r1")).state.seq
    for tab in tabs:
        await tab.until("streams.r1.status === 'ended'")
        assert await tab.seen("r1") == list(range(41, last + 1))
        assert await tab.run("streams.r1.state === undefined")
    await place.until_streams(0)


@EACH
async def test_a_stream_begins_with_the_state_as_it_is_now(place: Place, worker: bool) -> None:
    """``snapshot``: the events before it are not told, those behind it are told once, and the last state is that of who
    followed from the first event on."""
    await place.open_run("r1")
    place.speaker.say("r1", 50)
    whole = await place.windows.tab(worker=worker)
    await whole.start("r1")
    await whole.until_seen("r1", 52)
    late = await place.windows.tab(worker=worker)
    alone = await place.windows.tab(worker=worker)
    await late.start("r1", "{ snapshot: true }")
    await alone.start("r1", "{ snapshot: true, principal: 'another' }")
    for tab in (late, alone):
        await tab.until("streams.r1.state?.seq >= 52")
        assert await tab.seen("r1") == []
    place.speaker.say("r1", 20)
    await place.finish("r1", whole)
    last = (await place.engine.get("r1")).state.seq
    for tab in (late, alone):
        await tab.until("streams.r1.status === 'ended'")
        assert await tab.seen("r1") == list(range(53, last + 1))
        assert await tab.run("streams.r1.state") == await whole.run("streams.r1.state")
    await place.until_streams(0)


# --- who asks ---------------------------------------------------------------------------------------------------

SPY = """
window.heard = [];
const { BroadcastChannel: Channel } = window;
const listen = (name) => new Channel(name).addEventListener("message", ({ data }) => heard.push(JSON.stringify(data)));
window.BroadcastChannel = function (name) { listen(name); return new Channel(name); };
if (window.SharedWorker) window.SharedWorker = class extends SharedWorker {
  constructor(...how) {
    super(...how);
    this.port.addEventListener("message", ({ data }) => heard.push(JSON.stringify(data)));
  }
};
for (const name of ["", "reactor-client", `reactor-client 1 ${location.origin}/api/v1 `]) listen(name);
"""
"""Keeps all that a page can hear: on each channel that its own modules open, and on names without a user."""


@EACH
async def test_two_users_in_one_browser_hear_nothing_of_each_other(place: Place, worker: bool) -> None:
    """They have one connection each, and their own channel: no event and no token of one reaches the other's page."""
    place.gate.tokens = {"ann-1", "bob-1"}
    for run in ("ann.r", "bob.r"):
        await place.open_run(run)
    tabs = dict(zip(("ann", "bob"), await place.tabs(2, worker=worker), strict=True))
    for user, tab in tabs.items():
        await tab.run(f"(() => {{ {SPY} }})()")
        await tab.start(f"{user}.r", f"{{ token: '{user}-1' }}")
        await tab.until_seen(f"{user}.r", 2)
        place.speaker.say(f"{user}.r", 10)
    await place.until_streams(2)
    # both are followed: what one hears are its own events, so the ears work
    silent = await place.windows.tab(worker=worker)
    await silent.start("bob.r", "{ token: 'bob-1' }")
    for user, tab in tabs.items():
        await place.finish(f"{user}.r", tab)
        heard = "".join(await tab.run("heard"))
        other = "bob" if user == "ann" else "ann"
        assert other not in heard
        assert user in heard
    assert place.gate.refused == []
    assert sorted(place.gate.transports) == ["ann-1", "bob-1"]


async def test_a_connection_is_cut_and_its_token_not_taken_any_more_and_nothing_is_lost(place: Place) -> None:
    """The worker asks one tab for a new token, once; two that renew at the same time could lock each other out."""
    place.gate.tokens = {"ann-1"}
    await place.open_run("ann.r")
    tabs = await place.tabs(2)
    for tab in tabs:
        await tab.run("(() => { window.token = 'ann-1'; window.asked = 0; })()")
        await tab.start(
            "ann.r",
            "{ principal: 'ann', token: ({ refresh }) => (refresh ? (asked++, (token = 'ann-2')) : token) }",
        )
        await tab.until_seen("ann.r", 2)
    await place.until_streams(1)
    place.gate.tokens = {"ann-2"}
    place.speaker.say("ann.r", 500)
    await tabs[0].until_seen("ann.r", 50)
    place.gate.cut()
    for tab in tabs:
        await tab.until_seen("ann.r", 502)
    assert sum([await tab.run("asked") for tab in tabs]) == 1
    assert place.gate.refused == ["ann-1"]
    await place.finish("ann.r", *tabs)


# --- what goes wrong --------------------------------------------------------------------------------------------


async def test_the_network_goes_and_comes_back(place: Place) -> None:
    """What was said meanwhile comes as soon as it is back."""
    await place.open_run("r1")
    tabs = await place.tabs(2, worker=False)
    for tab in tabs:
        await tab.start("r1")
        await tab.until_seen("r1", 2)
    await place.windows.set_offline(True)
    place.gate.cut()
    await tabs[0].until("streams.r1.status === 'reconnecting'")
    place.speaker.say("r1", 20)
    await place.windows.set_offline(False)
    for tab in tabs:
        await tab.until_seen("r1", 22)
    await place.finish("r1", *tabs)


async def test_a_server_that_does_not_know_runs_is_followed_by_each_tab_for_itself(place: Place) -> None:
    """And the status says why."""
    place.gate.is_old = True
    await place.open_run("r1")
    place.speaker.say("r1", 20)
    tabs = await place.tabs(2)
    for tab in tabs:
        await tab.start("r1")
        await tab.until_seen("r1", 22)
        assert ["live", "not shared with other tabs: there is no stream option 'runs'"] in await tab.run("statuses")
    await place.until_streams(2)
    await place.finish("r1", *tabs)


async def test_a_run_that_is_not_there_fails_with_the_sentence_of_the_server(place: Place) -> None:
    """Or is waited for, if it may still begin."""
    tab = await place.windows.tab()
    await tab.start("nobody")
    await tab.until("streams.nobody.status === 'failed'")
    assert "nobody" in await tab.run("streams.nobody.error.message")
    await tab.start("later", "{ awaitRun: 20 }")
    await place.until_streams(1)
    await place.open_run("later")
    await place.finish("later", tab)


async def test_all_tabs_are_closed_and_the_server_has_no_stream_left(place: Place) -> None:
    """Also those that do not say that they go."""
    await place.open_run("r1")
    tabs = [await place.windows.tab(worker=worker) for worker in (True, True, False)]
    for tab in tabs:
        await tab.start("r1")
        await tab.until_seen("r1", 2)
    await tabs[0].crash()
    for tab in tabs[1:]:
        await tab.close()
    await tabs[0].close()
    await place.until_streams(0)


@pytest.mark.slow
async def test_the_server_is_killed_and_starts_again(browser: Browser, tmp_path: Path) -> None:
    """The run goes on, and all tabs have every event once."""
    gate = tmp_path / "gate"
    life = Life(tmp_path / "store.db")
    windows = Windows(browser, life.base, f"c{next(CONTEXTS)}")
    try:
        life.start_run(gate=str(gate))
        tabs = [await windows.tab() for _ in range(2)]
        for tab in tabs:
            await tab.start("a1")
            await tab.until_seen("a1", 2 + len(FIRST))
        life.end("SIGKILL")
        life.begin_again()
        gate.touch()
        for tab in tabs:
            await tab.until("streams.a1.status === 'ended'")
            seen = await tab.seen("a1")
            assert seen == list(range(1, len(seen) + 1))
            assert await tab.run("streams.a1.chunks.answer.text") == "".join(FIRST + REST)
    finally:
        await windows.close()
        life.end("SIGKILL")


# --- many runs of one page --------------------------------------------------------------------------------------


async def test_a_page_follows_many_runs_on_one_connection(place: Place) -> None:
    """``followAll``: runs are added and removed in the middle; each is told whole, and ends for itself."""
    for run in ("r1", "r2", "r3"):
        await place.open_run(run)
        place.speaker.say(run, 10)
    tab = await place.windows.tab()
    await tab.run(
        """(() => { window.all = followAll("/api/v1", ["r1", "r2", "later"], {
          onEvent: (event, run) => (seen[run] ??= []).push(event.seq) }); })()"""
    )
    await tab.until_seen("r1", 12)
    await tab.until_seen("r2", 12)
    await tab.run("all.add('r3')")
    await tab.until_seen("r3", 12)
    await place.until_streams(1)
    await tab.run("all.remove('r2')")
    place.speaker.say("r2", 10)
    await place.open_run("later")
    for run in ("r1", "r3", "later"):
        place.speaker.say(run, 10)
        place.speaker.say(run, 0)
    assert sorted(await tab.run("all.done")) == ["later", "r1", "r3"]
    for run in ("r1", "r3", "later"):
        last = (await place.engine.get(run)).state.seq
        assert await tab.seen(run) == list(range(1, last + 1))
    assert await tab.seen("r2") == list(range(1, 13))
    await place.until_streams(0)
