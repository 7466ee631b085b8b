"""``useWorkflowStream`` follows workflows of agents, under the paths of their dashboard and on the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helpers.cut_bytes import cut_every
from tests.helpers.react_site import Page, Site, component
from tests.helpers.runs import wait_until
from tests.helpers.stream_clients import port_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINISHED = "['completed', 'failed', 'cancelled'].includes(shown.workflow?.status) && shown.status === 'ended'"


def stream(site: Site, name: str = "a", url: str = "/api/workflows/:id/stream", **options: Any) -> dict[str, Any]:
    return component(name, "useWorkflowStream", "news-1", {"url": site.base + url, **options})


async def start(site: Site) -> None:
    await site.server.put("/runs/news-1", {"workflow": "newsroom", "input": {}})


def summary(shown: dict[str, Any]) -> dict[str, Any]:
    """What is the same on all pages that show an ended workflow."""
    names = ("name", "status", "totalSteps", "iterations", "totalCost")
    return {
        "workflow": {name: shown["workflow"][name] for name in names},
        "agents": {name: (agent["status"], agent.get("error")) for name, agent in shown["agents"].items()},
        "logs": [line["message"] for line in shown["logs"]],
    }


AT_THE_END = {
    "workflow": {"name": "newsroom", "status": "completed", "totalSteps": 6, "iterations": 8, "totalCost": 0.25},
    "agents": {
        "editor": ("completed", None), "write[0]": ("completed", None), "write[1]": ("completed", None),
        "write[2]": ("failed", "no topic"), "tidy": ("completed", None), "check": ("completed", None),
        "publish": ("failed", "skipped: condition (publish)"), "idle": ("completed", None),
    },
    "logs": ["looking around", "checked twice"],
}  # fmt: skip


async def ends_heard(page: Page, name: str) -> list[str]:
    """The events with which it was told of the end."""
    return [
        type for _, _, type, *_ in await page.call("heard", name) if type in ("workflow:completed", "workflow:failed")
    ]


async def test_pages_opened_before_live_and_after_show_the_same(site: Site, page: Page) -> None:
    """With the path of the dashboard, and with the API alone; each is told of the end once, and its stream closes."""
    await page.call("render", [stream(site)])
    shown = await page.until("a", "shown.workflow")
    assert (shown["workflow"]["status"], shown["isConnected"], shown["isStreaming"]) == ("pending", True, True)
    await start(site)
    site.gates["begin"].set()
    await page.until("a", "shown.agents.idle?.status === 'running'")
    await page.call("render", [stream(site), stream(site, "b", "/api/v1")])
    shown = await page.until("b", "shown.isConnected && shown.workflow")
    assert (len(shown["agents"]), len(shown["logs"])) == (8, 2)  # never a part of the opening
    site.gates.open()
    for name in "ab":
        assert summary(await page.until(name, FINISHED)) == AT_THE_END
    await page.call("render", [stream(site), stream(site, "b", "/api/v1"), stream(site, "c", principal="late")])
    assert summary(await page.until("c", FINISHED)) == AT_THE_END
    assert [await ends_heard(page, name) for name in "abc"] == [["workflow:completed"]] * 3
    await wait_until(lambda: site.open_streams == 0)
    assert await page.call("complaints") == []


async def test_a_stream_that_is_cut_goes_on_where_it_was(site: Site, newest: Page) -> None:
    """No log line twice and no event twice, none missing."""
    await newest.call("render", [stream(site, speed=100), stream(site, "whole", principal="other", speed=100)])
    await newest.until("a", "shown.workflow")
    await newest.until("whole", "shown.workflow")
    await start(site)
    for gate in ("begin", "end"):
        asked = len(site.streams.asked)
        site.streams.cut()
        site.gates[gate].set()
        await wait_until(lambda asked=asked: len(site.streams.asked) >= asked + 2)
        await newest.until("a", "shown.isConnected || shown.status === 'ended'")
    for name in ("a", "whole"):
        assert summary(await newest.until(name, FINISHED)) == AT_THE_END
        assert await ends_heard(newest, name) == ["workflow:completed"]
    heard = [type for kind, _, type, *_ in await newest.call("heard", "a") if kind == "event"]
    assert heard.count("log:created") == 2


async def test_an_opening_that_is_cut_shows_nothing_of_itself(site: Site, newest: Page) -> None:
    """Before its first frame, behind it, and before its last one: the page shows nothing, tells nothing, and in the end
    shows and tells the whole opening, once."""
    await start(site)
    site.gates["begin"].set()
    async with cut_every(10_000, port_of(site.base)) as proxy:
        base = f"http://127.0.0.1:{proxy.port}"
        await newest.open(f"{base}/page/19")
        opened = {"url": f"{base}/api/workflows/:id/stream", "speed": 50}
        await newest.call("render", [component("a", "useWorkflowStream", "news-1", opened)])
        await newest.until("a", "shown.agents.idle?.status === 'running'")
        for frames in (0, 1, 3, 7):
            await newest.call("unmount")
            await newest.call("forget")
            before = proxy.connections
            proxy.frames = frames
            cut = component("a", "useWorkflowStream", "news-1", {**opened, "stateUrl": f"{base}/nothing"})
            await newest.call("render", [cut])
            await wait_until(lambda before=before: proxy.connections >= before + 3)
            assert await newest.run("[shows.a.workflow, Object.keys(shows.a.agents).length, shows.a.logs.length]") == [
                None, 0, 0,
            ]  # fmt: skip
            assert [one for one in await newest.call("heard", "a") if one[0] == "event"] == []
            proxy.frames = 10_000
            await newest.run("shows.a.reconnect()")
            shown = await newest.until("a", "shown.isConnected && shown.workflow")
            assert (len(shown["agents"]), len(shown["logs"])) == (8, 2)
            heard = [type for kind, _, type, *_ in await newest.call("heard", "a") if kind == "event"]
            assert sorted(heard) == ["agent:state"] * 8 + ["log:created"] * 2 + ["workflow:state"]
        site.gates.open()
        assert summary(await newest.until("a", FINISHED)) == AT_THE_END
        await newest.call("unmount")


async def test_five_failures_then_polling_then_the_stream_again(site: Site, page: Page) -> None:
    """What it polls is what a stream shows; one that ends while it polls is told of as by a stream."""
    await start(site)
    site.gates["begin"].set()
    site.streams.refuses = 503
    await page.call("render", [stream(site, speed=50), stream(site, "b", "/api/v1", speed=50)])
    for name in "ab":
        shown = await page.until(name, "shown.status === 'polling' && shown.agents.idle?.status === 'running'")
        assert (shown["isConnected"], shown["isStreaming"], len(shown["logs"])) == (False, False, 2)
    # of the first component alone: five failures before it polls, of which each was told
    failures = [one for one in await page.call("heard", "a") if one[0] == "error" and one[2] == "not now"]
    assert len(failures) >= 5
    await page.run("(globalThis.editor = shows.a.agents.editor) && 0")
    site.streams.refuses = 0
    await page.until("a", "shown.isConnected && Object.keys(shown.agents).length === 8")
    site.streams.refuses = 503
    site.streams.cut()
    for name in "ab":
        await page.until(name, "shown.status === 'polling'")
    site.gates.open()
    for name in "ab":
        assert summary(await page.until(name, FINISHED)) == AT_THE_END
        assert await ends_heard(page, name) == ["workflow:completed"]
    await page.call("unmount")
    await page.check_clean()


async def test_the_button_streams_again_at_once(site: Site, newest: Page) -> None:
    """While it polls, and after it has failed."""
    await start(site)
    for status, refuses in (("polling", 503), ("failed", 403)):
        site.streams.refuses = refuses
        await newest.call("render", [stream(site, **({"speed": 50} if refuses == 503 else {}))])
        # the first page that comes takes the error away
        await newest.until("a", f"shown.status === '{status}' && (shown.error || {str(refuses == 503).lower()})")
        site.streams.refuses = 0
        await newest.run("shows.a.reconnect()")
        shown = await newest.until("a", "shown.isConnected && shown.workflow")
        assert shown["error"] is None
        await newest.call("unmount")


async def test_a_cancelled_workflow_has_failed(site: Site, newest: Page) -> None:
    await start(site)
    await newest.call("render", [stream(site)])
    await newest.until("a", "shown.workflow?.status === 'running'")
    await site.server.post("/runs/news-1/cancel", {"reason": "no news"})
    shown = await newest.until("a", FINISHED)
    assert (shown["workflow"]["status"], shown["workflow"]["error"]) == ("failed", "cancelled: no news")


async def test_a_callback_that_throws_stops_nothing(site: Site, newest: Page) -> None:
    await start(site)
    site.gates.open()
    await newest.call("render", [stream(site, throws=True)])
    assert summary(await newest.until("a", FINISHED)) == AT_THE_END
    assert set(await newest.call("complaints")) == {"reported: a callback of the page"}
