"""``useRun`` in real pages: when it opens a stream, when it closes it, and how often it renders."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.helpers.react_site import Page, Site, component
from tests.helpers.runs import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


def run(site: Site, run_id: str | None = "r1", name: str = "a", **options: Any) -> dict[str, Any]:
    return component(name, "useRun", run_id, {"url": site.url, "awaitRun": 60, **options})


def agents(site: Site, run_id: str = "r1", name: str = "a", **options: Any) -> dict[str, Any]:
    return component(name, "useWorkflowStream", run_id, {"url": f"{site.base}/api/workflows/:id/stream", **options})


async def check_left(site: Site, page: Page) -> None:
    """Nothing is left: no stream on the server, no timer and no listener in the page, no complaint of React."""
    await wait_until(lambda: site.open_streams == 0)
    await page.check_clean()


async def test_strict_mode_opens_one_stream(site: Site, page: Page) -> None:
    """It mounts, unmounts and mounts; what it shows is the run to its end, with the outputs."""
    await page.call("render", [run(site), agents(site, name="b")], {"strict": True})
    await page.until("a", "shown.isConnected")
    await page.until("b", "shown.isConnected")
    assert (site.open_streams, len(site.streams.asked)) == (2, 2)
    await site.server.start("small", run_id="r1")
    shown = await page.until("a", "shown.status === 'ended' && shown.outputs")
    assert (shown["run"]["status"], shown["run"]["progress"], shown["isConnected"]) == ("completed", 1, False)
    assert await page.run("shows.a.outputs") == {"b": 2}
    assert {id: task["status"] for id, task in shown["tasks"].items()} == {"a": "completed", "b": "completed"}
    await page.until("b", "shown.status === 'ended'")
    await page.call("unmount")
    assert len(site.streams.asked) == 2
    await check_left(site, page)


async def test_components_share_a_stream_but_not_that_of_another_principal(site: Site, newest: Page) -> None:
    """The last of those that show a run closes its stream, and what they are given is the same objects."""
    three = [run(site, name=name) for name in "abc"]
    other = run(site, name="d", principal="somebody else")
    await newest.call("render", [*three, other])
    for name in "abcd":
        await newest.until(name, "shown.isConnected")
    assert (site.open_streams, len(site.streams.asked)) == (2, 2)
    await site.server.start("gated", run_id="r1")
    for name in "abcd":
        await newest.until(name, "Object.keys(shown.tasks).length === 4")
    assert await newest.run("[shows.a.tasks === shows.c.tasks, shows.a.run === shows.d.run]") == [True, False]
    await newest.call("render", three[:1])
    await wait_until(lambda: site.open_streams == 1)
    site.gates.open()
    await newest.until("a", "shown.status === 'ended'")
    assert len(site.streams.asked) == 2
    await newest.call("unmount")
    await check_left(site, newest)


async def test_callbacks_are_the_latest_and_open_no_stream(site: Site, page: Page) -> None:
    """Options are new objects in each render. A callback that throws is reported, and stops neither the others nor the
    stream; every event is told once."""
    await site.server.start("gated", run_id="r1")
    bad = run(site, name="b", throws=True)
    await page.call("render", [run(site, label="first"), bad])
    await page.until("a", "shown.tasks.slow?.status === 'running'")
    await page.call("render", [run(site, label="second", types=["task.completed", "run.*"]), bad])
    await page.until("a", "heard")  # the new callbacks are there once it has rendered
    site.gates.open()
    await page.until("a", "shown.status === 'ended'")
    heard, thrown = await page.call("heard", "a"), await page.call("heard", "b")
    assert [seq for _, _, seq in thrown] == list(range(1, len(thrown) + 1))
    assert [label for _, label, _ in heard] == sorted(label for _, label, _ in heard)
    seconds = [seq for _, label, seq in heard if label == "second"]
    state = (await site.server.get("/runs/r1"))[1]
    assert len(seconds) == 4 + 1
    assert seconds[-1] == state["seq"] == len(thrown)
    assert len(site.streams.asked) == 1
    complaints = await page.call("complaints")
    assert complaints == ["reported: a callback of the page"] * len(thrown)


async def test_another_run_shows_nothing_of_the_one_before(site: Site, page: Page) -> None:
    """Nor does ``enabled: false``. The old stream closes."""
    for id in ("r1", "r2"):
        await site.server.start("gated", run_id=id)
    await page.call("render", [run(site, "r1")])
    await page.until("a", "shown.tasks.slow?.status === 'running'")
    await page.call("render", [run(site, "r2")])
    await page.until("a", "shown.run?.run_id === 'r2'")
    await wait_until(lambda: site.open_streams == 1)
    for off in (run(site, "r2", enabled=False), run(site, None)):
        await page.call("render", [off])
        shown = await page.until("a", "shown.status === 'idle'")
        assert (shown["run"], shown["tasks"], shown["isConnected"]) == (None, {}, False)
        await check_left(site, page)
        await page.call("render", [run(site, "r2")])
        await page.until("a", "shown.isConnected && shown.run?.run_id === 'r2'")


async def into_connecting(site: Site, page: Page, what: Any) -> None:
    site.streams.held = asyncio.Event()
    asked = len(site.streams.asked)
    await page.call("render", [what(site)], {"strict": True})
    await wait_until(lambda: len(site.streams.asked) > asked)


async def into_live(site: Site, page: Page, what: Any) -> None:
    await page.call("render", [what(site)], {"strict": True})
    await page.until("a", "shown.isConnected")


async def into_reconnecting(site: Site, page: Page, what: Any) -> None:
    await into_live(site, page, what)
    site.streams.refuses = 503
    site.streams.cut()
    await page.until("a", "shown.status === 'reconnecting' && shown.error")


async def into_polling(site: Site, page: Page, what: Any) -> None:
    site.streams.refuses = 503
    await page.call("render", [what(site, speed=200)], {"strict": True})
    await page.until("a", "shown.status === 'polling'")


async def into_ended(site: Site, page: Page, what: Any) -> None:
    site.gates.open()
    await page.call("render", [what(site)], {"strict": True})
    await page.until("a", "shown.status === 'ended'")


async def into_failed(site: Site, page: Page, what: Any) -> None:
    site.streams.refuses = 403
    await page.call("render", [what(site)], {"strict": True})
    await page.until("a", "shown.status === 'failed' && shown.error.message === 'not now'")


PHASES = [into_connecting, into_live, into_reconnecting, into_polling, into_failed, into_ended]


@pytest.mark.parametrize("what", [run, agents])
async def test_whoever_leaves_in_any_phase_leaves_nothing(site: Site, page: Page, what: Any) -> None:
    """No stream, request, timer or listener, and React complains of nothing."""
    await site.server.start("gated", run_id="r1")
    for into in PHASES:
        await into(site, page, what)
        await page.call("unmount")
        await page.check_clean()
        if site.streams.held is not None:
            site.streams.held.set()
        site.streams.held, site.streams.refuses = None, 0
        await wait_until(lambda: site.open_streams == 0)
        await page.check_clean()


async def test_a_server_renders_and_starts_nothing(site: Site, page: Page, node: Page) -> None:
    """It gives the connecting state; the browser takes it over without a complaint, and goes on live."""
    await site.server.start("gated", run_id="r1")
    all = [run(site), agents(site, name="b"), component("c", "useRuns", {}, {"url": site.url})]
    all.append(component("d", "useChat", "r1", {"url": site.url, "awaitRun": 60}))
    await node.open(site.base)
    html = await node.call("serve", all)
    assert html == "<ul>connecting</ul><ul>connecting</ul><ul></ul><ul>connecting</ul>"
    await node.check_clean()
    assert site.streams.asked == []
    await page.call("hydrate", html, all)
    await page.until("a", "shown.tasks.slow?.status === 'running'")
    await page.until("b", "shown.agents.slow?.status === 'running'")
    await page.until("c", "shown.runs[0]?.run_id === 'r1'")
    assert len(site.streams.asked) == 3
    await page.call("unmount")
    await check_left(site, page)


async def test_five_failures_then_polling_then_the_stream_again(site: Site, page: Page) -> None:
    """Each event is told once, in order; the page is current all the time."""
    await site.server.start("gated", run_id="r1")
    site.streams.refuses = 503
    await page.call("render", [run(site, speed=100)])
    await page.until("a", "shown.status === 'polling' && shown.tasks.slow?.status === 'running'")
    assert len(site.streams.asked) >= 5
    site.gates["fast"].set()
    shown = await page.until("a", "shown.tasks.after_fast?.status === 'completed'")
    assert (shown["isConnected"], shown["status"]) == (False, "polling")
    site.streams.refuses = 0
    # a poll waits at the server until something happens; then it is time to try a stream
    await wait_until(lambda: site.gates["step"].set() or site.open_streams)
    await page.until("a", "shown.isConnected")
    site.gates.open()
    await page.until("a", "shown.status === 'ended'")
    heard = await page.call("heard", "a")
    seqs = [seq for kind, _, seq in heard if kind == "event"]
    assert seqs == list(range(1, (await site.server.get("/runs/r1"))[1]["seq"] + 1))
    assert "not now" in [error for kind, _, error in heard if kind == "error"]
    await page.call("unmount")
    await check_left(site, page)


async def test_thousands_of_events_render_once_a_frame(site: Site, page: Page) -> None:
    """And a task that does not change stays the same object: a memoized component of it does not render again."""
    await site.server.start("chatty", run_id="r1")
    await page.call("render", [run(site), run(site, name="b")])
    for name in "ab":
        await page.until(name, "shown.questions.length === 1 && shown.tasks.burst.status === 'running'")
    frames, before = await page.call("frames"), await page.call("renders")
    site.gates["burst"].set()
    shown = await page.until("a", "shown.tasks.burst.status === 'completed'")
    after, passed = await page.call("renders"), await page.call("frames") - frames
    assert len(await page.call("heard", "a")) > 3_000
    assert 1 <= after["a"] - before["a"] <= passed + 1
    assert after["a/burst"] - before["a/burst"] == 1
    assert after["a/write"] == before["a/write"]
    assert [len(shown["logs"]), shown["logs"][-1]["data"]["message"]] == [200, "line 2990"]


async def test_a_hidden_page_is_current_too(site: Site, newest: Page) -> None:
    """There are no frames in it."""
    await newest.run("Object.defineProperty(document, 'hidden', { value: true }) && 0")
    await newest.run("(window.requestAnimationFrame = () => 1) && 0")
    await newest.call("render", [run(site)])
    await newest.until("a", "shown.isConnected")
    await site.server.start("small", run_id="r1")
    await newest.until("a", "shown.status === 'ended'")


async def test_a_thousand_mounts_leave_nothing(site: Site, node: Page) -> None:
    """No stream, timer or listener, and nobody holds what was shown."""
    await site.server.start("gated", run_id="r1")
    await node.open(site.base)
    await node.call("churn", [run(site), agents(site, name="b")], 1_000, True)
    await check_left(site, node)
    held = await node.call("held")
    assert held["all"] > 1_000
    assert held["alive"] <= 10


async def test_many_mounts_in_a_browser_leave_nothing(site: Site, newest: Page) -> None:
    await site.server.start("gated", run_id="r1")
    await newest.call("churn", [run(site), agents(site, name="b")], 200, True)
    await check_left(site, newest)
