"""The page of a run in Chromium: watched to its end, through cuts; acted on; hostile data stays text."""

from __future__ import annotations

import json

import pytest

from tests.helpers.wire import wire_to
from tests.web.dashboard.site import EVIL, Page, Site, asked

STATUS = ".title-row > .status"
TABS = ("graph", "timeline", "logs", "events", "stream", "data", "budget")


async def confirm(page: Page, name: str) -> None:
    """Presses a button of the head, and then the one that carries it out."""
    await page.click(f".actions button:has-text('{name}')")
    await page.click(".actions .box button.main")


async def test_a_run_is_watched_from_its_start_to_its_end(site: Site) -> None:
    """Every tab shows what has happened, as it happens, and nothing is an error of the page."""
    run = await site.start("steps", "r1")
    page = await site.open("#/runs/r1")
    await page.until_text(STATUS, "running")
    await page.until_text(".connection", "live")
    await page.until_text(".task-list", "measure")
    site.gates["begin"].set()
    await page.until_text(".facts", "4 / 5")
    site.gates["total"].set()
    await run.ended()
    await page.until_text(STATUS, "completed")
    await page.until_text(".facts", "5 / 5")
    await page.until_text(".connection", "ended")
    for tab, text in {"logs": "it begins", "stream": "once upon a time", "events": "run.completed", "data": "total",
                      "budget": "2.00", "timeline": "attempts in", "graph": "critical path"}.items():  # fmt: skip
        await page.click(f"#tab-{tab}")
        await page.until_text("#tab-panel", text)
    assert await page.errors() == []


async def test_the_selection_is_the_same_in_every_tab_and_in_the_address(site: Site) -> None:
    """A task is chosen in the list by keyboard; the panel shows it wherever one goes, and a link shows it too."""
    site.gates.open()
    await (await site.start("steps", "r1")).ended()
    page = await site.open("#/runs/r1")
    await page.until_text(".task-list", "measure")
    await page.act("focus", ".task-list .virtual")
    await page.act("press", ".task-list .virtual", "ArrowDown")
    await page.act("press", ".task-list .virtual", "ArrowDown")
    for tab in TABS:
        await page.click(f"#tab-{tab}")
        await page.until_text(".panel h2", "measure")
        assert await page.run("location.hash") == f"#/runs/r1/{tab}?task=measure"
    other = await site.open("#/runs/r1/logs?task=measure%5B1%5D")
    await other.until_text(".panel", "the line broke")
    assert await other.texts(".attempts .status") == ["failed", "completed"]
    await other.until_text(".lines-tab .line", "attempt 2 follows")
    assert all("measure" in line for line in await other.texts(".lines-tab .line"))


async def test_pause_resume_and_cancel_ask_once_and_name_the_event(site: Site) -> None:
    """The button of the head, then the one in its box; what became of it is said."""
    run = await site.start("steps", "r1")
    page = await site.open("#/runs/r1")
    await page.until_text(STATUS, "running")
    await page.click(".actions button:has-text('Pause')")
    assert run.status == "running", "it asks first"
    await page.click(".actions .box button.main")
    await page.until_text(STATUS, "paused")
    await page.until_text(".messages", "paused")
    await confirm(page, "Resume")
    await page.until_text(STATUS, "running")
    await page.click(".actions button:has-text('Cancel')")
    await page.act("fill", ".box input[name=reason]", "not needed")
    await page.click(".actions .box button.main")
    await page.until_text(STATUS, "cancelled")
    assert [event.data["reason"] async for event in run if event.type == "run.cancelling"] == ["not needed"]


async def test_a_failed_run_says_why_and_is_tried_again(site: Site) -> None:
    """The sentence, the task, and a new run that takes over what completed."""
    await (await site.start("fails", "r1")).ended()
    page = await site.open("#/runs/r1")
    await page.until_text(".banner", "3 rows are not numbers")
    await page.click(".banner button:has-text('broken')")
    await page.until_text(".panel .trouble", "ValueError")
    site.gates["mended"].set()
    await confirm(page, "Retry")
    await page.until("!location.hash.startsWith('#/runs/r1')")
    await page.until_text(STATUS, "completed")


async def test_a_run_is_tried_again_from_a_task(site: Site) -> None:
    """From its panel: this task runs again though it has completed, and what comes before it does not."""
    site.gates.open()
    await (await site.start("steps", "r1")).ended()
    page = await site.open("#/runs/r1/graph?task=total")
    await page.click(".panel button:has-text('Retry from here')")
    await page.click(".panel .box button.main")
    await page.until("!location.hash.startsWith('#/runs/r1')")
    await page.until_text(STATUS, "completed")
    again = await site.engine.get((await page.run("location.hash")).split("/")[2])
    ends = {event.task_id: event.data["cached"] async for event in again if event.type == "task.completed"}
    assert (ends["begin"], ends["total"]) == (True, False)


async def test_a_question_is_answered_in_a_form_of_its_schema(site: Site) -> None:
    """Fields for each member, with defaults; the answer is what the schema says."""
    run = await site.start("asks", "r1")
    await asked(run)
    page = await site.open("#/runs/r1")
    await page.click(".ask-banner button")
    await page.until_text(".question .prompt", "Publish it?")
    assert await page.run("document.querySelector('.question button.main').disabled")
    await page.click(".question button:has-text('Yes')")
    await page.act("fill", ".question input[type=number]", "5")
    await page.act("selectOption", ".question select", [{"label": "print"}])
    await page.click(".question button.main")
    await page.until_text(STATUS, "completed")
    assert (await run)["approve"] == {"publish": True, "rating": 5, "channel": "print"}


async def test_a_cut_is_seen_and_what_was_missed_comes(site: Site) -> None:
    """The badge says so; when the server is back, the run is where it has it, with every event once."""
    async with wire_to(site.port) as wire:
        run = await site.start("steps", "r1")
        page = await site.open("#/runs/r1/events", port=wire.port)
        await page.until_text(".connection", "live")
        wire.is_down = True
        wire.cut()
        await page.until_text(".connection", "reconnecting")
        site.gates.open()
        await run.ended()
        wire.is_down = False
        await page.until_text(STATUS, "completed")
        assert (await page.texts(".lines-tab .line .at"))[-1] == str(run.feed.last_seq)
        await page.until_text(".bar-of-tab", f"{run.feed.last_seq} events")


@pytest.mark.parametrize("tab", TABS)
async def test_hostile_data_stays_text(tab: str, site: Site) -> None:
    """In prompts, log lines, tokens, names of members, titles of schemas: nothing of it becomes an element or runs."""
    run = await site.start("evil", "r1")
    await asked(run)
    page = await site.open(f"#/runs/r1/{tab}?task=speak")
    await page.until_text(".question", EVIL)
    await run.send("speak", EVIL)
    await run.ended()
    await page.until_text(STATUS, "completed")
    await page.until_text(".panel", EVIL)
    assert await page.run("document.querySelectorAll('main img, main script').length") == 0
    assert await page.run("window.pwned ?? null") is None
    links = await page.run("[...document.querySelectorAll('main a[target]')].map((one) => [one.protocol, one.rel])")
    assert all(link == ["https:", "noopener noreferrer"] for link in links), links
    assert bool(links) == (tab == "logs")
    assert await page.errors() == []


async def test_a_run_that_is_not_there_says_so(site: Site) -> None:
    """One sentence of the server, not an empty page."""
    page = await site.open("#/runs/nothing-here")
    await page.until_text(".problem", "nothing-here")


async def test_every_moment_is_what_the_log_says_up_to_it(site: Site) -> None:
    """The slider at each event shows the state that the events up to it fold to, as the server folds them."""
    site.gates.open()
    run = await site.start("steps", "r1")
    await run.ended()
    events = [event async for event in run]
    page = await site.open("#/runs/r1")
    await page.until_text(".connection", "ended")
    statuses: dict[str, str] = {}
    for event in events[:-1]:
        slide = f"""(() => {{ const slider = document.querySelector('.travel input[type=range]');
            slider.value = {event.seq}; slider.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()"""
        await page.run(slide)
        await page.until_text(".connection", f"at event {event.seq}")
        if event.task_id is not None and event.type in ("task.started", "task.completed", "task.retrying"):
            word = {"task.started": "running", "task.completed": "completed", "task.retrying": "retrying"}
            statuses[event.task_id] = word[event.type]
        shown = await page.run("""Object.fromEntries([...document.querySelectorAll('.task-row')].map((row) =>
            [row.querySelector('.name').innerText, row.querySelector('.offscreen').textContent]))""")
        for task in ("begin", "total"):
            assert shown[task] == statuses.get(task, "pending"), (event.seq, json.dumps(shown))
    await page.click(".travel button:has-text('Now')")
    await page.until_text(STATUS, "completed")
    linked = await site.open("#/runs/r1/graph?seq=2")
    await linked.until_text(".connection", "at event 2")
    assert await linked.text(STATUS) == "running"


async def test_an_idle_run_asks_for_nothing_but_its_stream(site: Site) -> None:
    """Whatever tab one looks at, and however much happens."""
    run = await site.start("steps", "r1")
    page = await site.open("#/runs/r1")
    await page.until_text(".connection", "live")
    for tab in TABS:
        await page.click(f"#tab-{tab}")
    site.gates["begin"].set()
    await page.until_text(".facts", "4 / 5")
    asked_for = [url.partition("/api/v1")[2].partition("?")[0] for url in await page.requests() if "/api/v1/" in url]
    assert asked_for == ["/whoami", f"/runs/{run.id}/events"]


async def test_a_session_is_shown_with_its_events(site: Site) -> None:
    """It has no graph and no tasks; what was said in it is there, also in the list."""
    session = await site.engine.session("s1")
    await session.emit("order.placed", {"item": "tea"})
    page = await site.open("#/runs/s1")
    await page.until_text(".empty", "A session has no graph")
    await page.click("#tab-events")
    await page.until_text(".line", "order.placed")
    await page.go("#/runs")
    await page.until_text(".run-table", "session")
    assert await page.errors() == []
