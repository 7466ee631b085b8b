"""Much of everything in Chromium, narrow screens, and runs below runs."""

from __future__ import annotations

import pytest

from reactor import Context, Workflow
from tests.helpers.tabs import Browser
from tests.web.dashboard.site import Site, asked, dashboard_site

STATUS = ".title-row > .status"
TASKS, ITEMS, LINES = 600, 1_000, 5_000
PAINTED = """(() => {{ const canvas = document.querySelector({0!r});
    const data = canvas?.width ? canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data : [];
    return data.some((value, at) => at % 4 === 3 && value > 0); }})()"""


def many() -> Workflow:
    """Many tasks, a wide map, and many lines."""
    flow = Workflow("many")

    @flow.task
    async def items() -> list[int]:
        return list(range(ITEMS))

    @flow.task(map="items")
    async def each(items: int) -> int:
        return items

    @flow.task(after="each")
    async def talk(ctx: Context) -> None:
        for number in range(LINES):
            await ctx.log.info(f"line {number}")

    async def nothing() -> None:
        return None

    for number in range(TASKS):
        after = [f"t{before}" for before in (number - 7, number - 9) if before >= 0]
        flow.task(nothing, name=f"t{number}", after=after)
    return flow


async def test_much_of_everything_is_drawn_and_only_what_is_in_sight_is_made(browser: Browser) -> None:
    """Hundreds of tasks, a map that is one node, thousands of lines: canvases are painted, elements stay few."""
    async with dashboard_site(browser, more=[many()]) as site:
        await (await site.start("many", "r1")).ended()
        page = await site.open("#/runs/r1")
        await page.until_text(STATUS, "completed")
        await page.until_text(".facts", "1,602 / 1,602")
        await page.until(PAINTED.format(".graph-view canvas"))
        assert await page.run("document.querySelectorAll('.task-row').length") < 60
        await page.act("fill", ".task-list input", "each")
        await page.until("document.querySelectorAll('.task-row').length === 1")
        assert "×1,000" in await page.text(".task-row")
        await page.click("#tab-timeline")
        await page.until(PAINTED.format(".timeline canvas"))
        await page.click("#tab-logs")
        await page.until_text(".line", f"line {LINES - 1}")
        assert await page.run("document.querySelectorAll('.line').length") < 80
        await page.act("fill", ".bar-of-tab input", "line 4242")
        await page.until("document.querySelectorAll('.line').length === 1")
        assert await page.errors() == []


@pytest.mark.parametrize("place", ["runs", "questions", "workflows", "workflows/steps", *(
    f"runs/r1/{tab}?task=approve" for tab in ("graph", "timeline", "logs", "events", "stream", "data", "budget")
)])  # fmt: skip
async def test_a_phone_need_not_scroll_sideways(place: str, site: Site) -> None:
    """At 360 pixels nothing of a page is wider than the screen."""
    await asked(await site.start("asks", "r1"))
    page = await site.open("#/runs")
    await page.act("setViewportSize", {"width": 360, "height": 740})
    await page.go(f"#/{place}")
    await page.until_text("main", "Questions" if place == "questions" else "r1" if "r1" in place else "")
    assert await page.run("document.documentElement.scrollWidth") <= 360


async def test_a_run_below_is_a_node_and_a_link(browser: Browser) -> None:
    """The task that started it leads to it, and it leads back."""
    parent, below = Workflow("parent"), Workflow("below")

    @below.task
    async def inner() -> int:
        return 1

    @parent.task
    async def outer(ctx: Context) -> object:
        return await ctx.run(below, {})

    async with dashboard_site(browser, more=[parent, below]) as site:
        await (await site.start("parent", "r1")).ended()
        page = await site.open("#/runs/r1/graph?task=outer")
        await page.until_text(".panel .children", "below")
        nodes = """(async () => (await import('./assets/tabs/graph.js')).childNodes({
            tasks: { __proto__: null, outer: { task: 'outer' } },
            children: { c1: { task_id: 'outer', workflow: 'below', status: 'completed' } } }))()"""
        assert [(node["label"], node["depends_on"]) for node in await page.run(nodes)] == [("below", ["outer"])]
        await page.click(".panel .children a")
        await page.until_text(".crumbs", "parent")
        await page.until_text(STATUS, "completed")
        await page.until_text(".task-list", "inner")
        await page.click(".crumbs a:has-text('r1')")
        await page.until_text("h1", "r1")


async def test_the_tabs_go_by_the_arrows(site: Site) -> None:
    """One of them can be reached by the Tab key; the arrows lead to the others and back round."""
    await site.start("steps", "r1")
    page = await site.open("#/runs/r1/graph")
    await page.until_text(STATUS, "running")
    assert await page.run("document.querySelectorAll('[role=tab][tabindex=\"0\"]').length") == 1
    await page.act("focus", "#tab-graph")
    await page.act("press", "#tab-graph", "ArrowRight")
    await page.until("location.hash === '#/runs/r1/timeline' && document.activeElement.id === 'tab-timeline'")
    await page.act("press", "#tab-timeline", "ArrowLeft")
    await page.act("press", "#tab-graph", "ArrowLeft")
    await page.until("location.hash === '#/runs/r1/budget'")


async def test_a_graph_that_takes_too_long_to_lay_out_stands_in_columns(site: Site) -> None:
    """Each node behind its upstreams, none upon another."""
    page = await site.open("#/runs")
    placed = await page.run("""(async () => (await import('./assets/graph_layout.js')).inColumns({
        nodes: ['a', 'b', 'c', 'd'].map((id) => ({ id })),
        edges: [['a', 'b'], ['a', 'c'], ['b', 'd'], ['a', 'd']] }))()""")
    columns = [x for x, _ in placed["nodes"]]
    assert columns[0] < columns[1] == columns[2] < columns[3]
    assert len({tuple(node) for node in placed["nodes"]}) == 4
    assert placed["edges"][0] == [placed["nodes"][0], placed["nodes"][1]]
    assert placed["width"] > columns[3]
