"""Questions, workflows, and who may look and act, in Chromium."""

from __future__ import annotations

import pytest

from reactor.ports.access import KeyRecord
from reactor_web import Guard, Principal
from reactor_web.guard.keys import MemoryKeys, make_key
from tests.helpers.tabs import Browser
from tests.web.dashboard.site import Site, asked, dashboard_site

STATUS = ".title-row > .status"
SCOPES = frozenset({"read", "run", "control", "admin"})


async def test_the_inbox_has_what_waits_and_drops_what_is_answered(site: Site) -> None:
    """Questions of several runs; an answer goes to its run; a new question comes without a reload."""
    first, second = await site.start("asks", "r1"), await site.start("asks", "r2")
    await asked(first)
    await asked(second)
    page = await site.open("#/questions")
    await page.until("document.querySelectorAll('.question').length === 2")
    await page.click("article:has-text('r1') .question button:has-text('No')")
    await page.click("article:has-text('r1') .question button.main")
    assert (await first)["approve"] == {"publish": False, "rating": 3, "channel": "web"}
    await page.until("document.querySelectorAll('.question').length === 1")
    assert "r2" in await page.text("article")
    await asked(await site.start("asks", "r3"))
    await page.until_text("article", "r3")
    await second.cancel()
    await page.until("document.querySelectorAll('.question').length === 1")


async def test_a_run_is_started_from_the_form_of_its_workflow(site: Site) -> None:
    """The input's JSON Schema makes the form; the page goes to the run."""
    page = await site.open("#/workflows")
    await page.click("a:has-text('steps')")
    await page.until_text("h1", "steps")
    await page.until_text(".workflow-runs", "No run of this workflow yet")
    await page.act("fill", ".start input[type=number]", "4")
    await page.click(".start button.main")
    await page.until_text(STATUS, "running")
    run = await site.engine.get((await page.run("location.hash")).split("/")[2])
    assert (await run.beginning())["input"] == {"count": 4}
    await page.go("#/workflows/steps")
    await page.until_text(".run-table", run.id)


async def test_a_workflow_says_how_long_its_tasks_take(site: Site) -> None:
    """Over the last runs that completed, each task with how many they were."""
    site.gates.open()
    for number in range(3):
        await (await site.start("steps", f"r{number}")).ended()
    page = await site.open("#/workflows/steps")
    await page.until_text("h2", "Durations by task")
    rows = await page.texts("section:has(h2) .table-box:not(:has(.run-table)) tbody tr")
    assert [row.split()[:2] for row in rows] == [["begin", "3"], ["measure", "3"], ["total", "3"]]
    assert await page.errors() == []


async def test_an_input_that_does_not_fit_is_said_and_nothing_starts(site: Site) -> None:
    """The sentence of the server stands under the form."""
    page = await site.open("#/workflows/steps")
    await page.act("check", ".start .check input")
    await page.act("fill", ".start textarea", '{"count": "many"}')
    await page.click(".start button.main")
    await page.until_text(".start .help", "count")
    assert await page.run("location.hash") == "#/workflows/steps"
    assert site.engine.open_runs == 0


def _guard(token: str, scopes: frozenset[str]) -> Guard:
    return Guard(authorize=lambda request: (
        Principal("ann", scopes) if request.headers.get("Authorization") == f"Bearer {token}" else None
    ))  # fmt: skip


async def test_where_the_server_asks_who_it_is_the_page_asks_for_a_token(browser: Browser) -> None:
    """A wrong one is refused with the server's sentence; the right one is kept in the tab, and in no address."""
    made = make_key()
    record = KeyRecord(id=made.id, digest=made.digest, name="ann", scopes=SCOPES, tenant="", expires=None)
    async with dashboard_site(browser, guard=Guard(keys=MemoryKeys([record]))) as site:
        page = await site.open()
        await page.until_text("h1", "Sign in")
        await page.act("fill", "#token", "rk_wrong")
        await page.click("button.main")
        await page.until("document.querySelector('.sign-in [role=alert]')")
        await page.act("fill", "#token", made.token)
        await page.click("button.main")
        await page.until_text("h1", "Runs")
        await page.until_text(".connection", "live")
        await page.act("reload")
        await page.until_text("h1", "Runs")
        assert not any(made.token in url for url in await page.requests())
        assert await page.run("document.cookie") == ""
        await page.click("button:has-text('Sign out')")
        await page.until_text("h1", "Sign in")
        other = await site.open()
        await other.until_text("h1", "Sign in")


@pytest.mark.parametrize("scopes", [["read"], ["read", "run"], ["read", "control"]], ids=" ".join)
async def test_who_may_not_act_sees_no_button(scopes: list[str], browser: Browser) -> None:
    """Of the head, of the question, of the workflow: what would be answered 403 is not offered."""
    async with dashboard_site(browser, guard=_guard("t", frozenset(scopes))) as site:
        run = await site.start("asks", "r1")
        await asked(run)
        page = await site.open()
        await page.act("fill", "#token", "t")
        await page.click("button.main")
        await page.until_text("h1", "Runs")
        await page.go("#/runs/r1/graph?task=approve")
        await page.until_text(".question", "Publish it?")
        buttons = set(await page.texts(".actions button"))
        assert buttons == ({"Compare", "Pause", "Cancel"} if "control" in scopes else {"Compare"})
        assert bool(await page.texts(".question button.main")) == ("control" in scopes)
        await page.go("#/workflows/asks")
        await page.until_text("h1", "asks")
        await page.until_text(".page-head", "1 task")
        assert bool(await page.texts(".start button")) == ("run" in scopes)


async def test_two_runs_are_compared(site: Site) -> None:
    """From the head of one: what differs in their input, and each task with both statuses."""
    site.gates.open()
    await (await site.start("steps", "r1", count=2)).ended()
    await (await site.start("steps", "r2", count=3)).ended()
    page = await site.open("#/runs/r2")
    await page.until_text(".connection", "ended")
    await page.click(".actions button:has-text('Compare')")
    await page.act("fill", ".box input[name=other]", "r1")
    await page.click(".box button.main")
    await page.until_text("h1", "Compare")
    await page.until_text(".compare tbody tr", "count")
    assert (await page.texts(".compare table:first-of-type tbody tr"))[0].split() == ["count", "2", "3"]
    assert await page.texts(".compare .status") == ["completed"] * 8
    assert await page.texts(".compare h2") == ["r1", "r2"]
    assert await page.errors() == []
