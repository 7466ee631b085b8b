"""``useRuns`` and ``useChat`` in a real page, and the outputs that ``useRun`` asks for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helpers.react_site import Page, Site, component

pytestmark = pytest.mark.asyncio(loop_scope="module")


def runs(site: Site, filter: dict[str, Any] | None = None, name: str = "l", **options: Any) -> dict[str, Any]:
    return component(name, "useRuns", filter or {}, {"url": site.url, **options})


def ids(shown: dict[str, Any]) -> list[str]:
    return [run["run_id"] for run in shown["runs"]]


def statuses(*of: str) -> str:
    """That a list shows runs with these statuses."""
    return f"shown.runs.map((run) => run.status).join() === '{','.join(of)}'"


def asked_lists(site: Site) -> int:
    return len([one for one in site.streams.others if one.startswith("GET /api/v1/runs?")])


async def test_a_list_is_what_the_server_would_answer_now(site: Site, newest: Page) -> None:
    """Runs that begin and end, also where a filter no longer takes them; ``refresh`` shows what was deleted. A run that
    does not change stays the same object."""
    for id in ("r1", "r2"):
        await site.server.start("gated", run_id=id)
    lists = [runs(site), runs(site, {"status": "running"}, "open"), runs(site, {"workflow": "small"}, "small")]
    await newest.call("render", lists, {"strict": True})
    assert ids(await newest.until("l", "!shown.isLoading")) == ["r2", "r1"]
    await newest.run("(globalThis.first = shows.l.runs[1]) && 0")
    await site.server.start("small", run_id="r3")
    await newest.until("l", statuses("completed", "running", "running"))
    assert await newest.run("shows.l.runs[2] === globalThis.first")
    assert ids(await newest.until("small", statuses("completed"))) == ["r3"]
    await site.server.post("/runs/r2/cancel", {"grace": 0})
    assert ids(await newest.until("open", "shown.runs.length === 1")) == ["r1"]
    await newest.until("l", statuses("completed", "cancelled", "running"))
    await site.server.delete("/runs/r3")  # which no event tells
    for name in ("l", "small"):
        await newest.run(f"shows.{name}.refresh()")
    assert ids(await newest.until("l", "shown.runs.length === 2")) == ["r2", "r1"]
    assert ids(await newest.until("small", "shown.runs.length === 0")) == []
    await newest.call("unmount")
    await newest.check_clean()


async def test_a_run_that_is_deleted_leaves_every_list_of_the_page(site: Site, newest: Page) -> None:
    """At once, whichever list was told to; one that may not be deleted stays, and the reason is told. What somebody
    else deletes is gone when the page is looked at again."""
    for id in ("r1", "r2", "r3"):
        await site.server.start("small" if id != "r2" else "gated", run_id=id)
    await (await site.server.engine.get("r3")).ended()
    await newest.call("render", [runs(site), runs(site, {"workflow": "small"}, "small")], {"strict": True})
    await newest.until("l", statuses("completed", "running", "completed"))
    await newest.until("small", statuses("completed", "completed"))
    with pytest.raises(AssertionError, match="r2"):
        await newest.run("shows.l.remove('r2')")
    await newest.run("shows.l.remove('r3')")
    assert ids(await newest.until("l", "shown.runs.length === 2")) == ["r2", "r1"]
    assert ids(await newest.until("small", "shown.runs.length === 1")) == ["r1"]
    await site.server.delete("/runs/r1")
    await newest.run("document.dispatchEvent(new Event('visibilitychange')) && 0")
    assert ids(await newest.until("l", "shown.runs.length === 1")) == ["r2"]
    assert ids(await newest.until("small", "shown.runs.length === 0")) == []
    assert (await site.server.get("/runs/r3"))[0] == 404
    await newest.call("unmount")
    await newest.check_clean()


async def test_a_list_is_short_until_more_is_wanted(site: Site, newest: Page) -> None:
    """``limit`` is a page; ``loadMore`` shows another one, and what happens above does not push the list apart."""
    for number in range(5):
        await site.server.start("small", run_id=f"r{number}")
        await (await site.server.engine.get(f"r{number}")).ended()
    await newest.call("render", [runs(site, {"limit": 2})])
    shown = await newest.until("l", "!shown.isLoading")
    assert (ids(shown), shown["hasMore"]) == (["r4", "r3"], True)
    await newest.run("shows.l.loadMore()")
    assert ids(await newest.until("l", "!shown.isLoading && shown.runs.length > 2")) == ["r4", "r3", "r2", "r1"]
    await newest.run("shows.l.loadMore()")
    shown = await newest.until("l", "!shown.isLoading && !shown.hasMore")
    assert ids(shown) == ["r4", "r3", "r2", "r1", "r0"]
    await site.server.start("small", run_id="r5")
    assert ids(await newest.until("l", "shown.runs[0].run_id === 'r5'")) == ["r5", "r4", "r3", "r2", "r1", "r0"]


async def test_many_runs_ask_for_the_list_a_few_times(site: Site, newest: Page) -> None:
    """However much happens, and however many components show it; and the history is not read."""
    await site.server.start("small", run_id="before")
    await newest.call("render", [runs(site), runs(site, name="m")])
    await newest.until("m", "!shown.isLoading")
    for number in range(100):
        await site.server.start("small", run_id=f"r{number}")
    await (await site.server.engine.get("r99")).ended()
    await newest.until("l", "shown.runs.length === 100 && shown.runs.every((run) => run.status === 'completed')")
    assert asked_lists(site) < 20
    events = [one for one in site.streams.asked if "/events?" in one]
    assert len(events) == 1
    assert "after=" in events[0]


async def test_a_list_that_is_refused_says_so_and_waits(site: Site, newest: Page) -> None:
    """``refresh`` asks again."""
    await newest.call("render", [runs(site, {"status": "done"})])
    shown = await newest.until("l", "shown.error")
    assert shown["error"]["message"].startswith("status is 'done', but must be one of")
    assert (shown["isLoading"], shown["runs"]) == (False, [])
    await newest.run("shows.l.refresh()")
    await newest.until("l", "heard.length === 2 && !shown.isLoading")
    assert (asked_lists(site), site.streams.asked) == (2, [])
    await newest.run("new Promise(requestAnimationFrame)")  # else what it is to show may still wait for its frame
    assert (await newest.call("left"))["timers"] == 0
    await newest.call("unmount")
    await newest.check_clean()


async def test_a_list_without_a_stream_is_asked_for_again(site: Site, newest: Page) -> None:
    """Where the log of a server does not keep the order of all runs, or a proxy lets no stream through."""
    site.streams.refuses = 400
    await newest.call("render", [runs(site, speed=20)])
    await newest.until("l", "!shown.isLoading")
    await site.server.start("small", run_id="r1")
    await newest.until("l", "shown.runs.length === 1")
    await newest.call("unmount")
    await newest.check_clean()


async def test_a_chat_answers_and_stops(site: Site, page: Page) -> None:
    """It shows what the run says and asks; of a run that another component shows it opens no stream."""
    await site.server.start("chatty", run_id="r1")
    chat = component("c", "useChat", "r1", {"url": site.url})
    await page.call("render", [chat, component("a", "useRun", "r1", {"url": site.url})])
    shown = await page.until("c", "shown.questions.length")
    assert [(part["type"], part.get("text"), part.get("prompt")) for part in shown["parts"]] == [
        ("text", "once upon", None), ("question", None, "go on?"),
    ]  # fmt: skip
    assert not shown["isStreaming"]
    with pytest.raises(AssertionError, match="value"):
        await page.run("shows.c.send('maybe')")
    await page.run("shows.c.answer(shows.c.parts[1], true)")
    shown = await page.until("c", "!shown.questions.length")
    assert (shown["parts"][1]["status"], shown["parts"][1]["value"], shown["isStreaming"]) == ("answered", True, True)
    with pytest.raises(AssertionError, match="nothing is asked in this run now"):
        await page.run("shows.c.send(true)")
    await page.run("shows.c.stop('enough')")
    await page.until("c", "shown.status === 'ended'")
    assert (await site.server.get("/runs/r1"))[1]["reason"] == "enough"
    assert len(site.streams.asked) == 1


async def test_large_outputs_are_asked_for_by_who_reads_them(site: Site, newest: Page) -> None:
    """Once; small ones come with the last event."""
    site.gates.open()
    await site.server.start("chatty", run_id="r1")
    await newest.call("render", [component("a", "useRun", "r1", {"url": site.url})])
    await newest.until("a", "shown.questions.length")
    await newest.run("shows.a.send('write', true, { key: 'go' })")
    await newest.until("a", "shown.status === 'ended'")
    assert "GET /api/v1/runs/r1" not in site.streams.others
    await newest.until("a", "shown.outputs")
    assert await newest.run("[shows.a.outputs.burst, shows.a.outputs.write.length]") == [2_999, 40_000]
    assert site.streams.others.count("GET /api/v1/runs/r1") == 1
