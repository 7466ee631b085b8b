"""The list of runs in Chromium: live, filtered by the address, quiet."""

from __future__ import annotations

from tests.web.dashboard.site import Site, asked

ROWS = ".run-table tbody tr"


async def test_an_empty_list_says_so_and_a_run_that_starts_is_there_at_once(site: Site) -> None:
    """Without a reload: it begins, it ends, and its row says how."""
    page = await site.open()
    await page.until_text("main", "No runs yet")
    await page.until_text(".connection", "live")
    await site.start("steps", "first")
    await page.until_text(ROWS, "running")
    site.gates.open()
    await page.until_text(ROWS, "completed")
    assert "first" in await page.text(ROWS)
    assert "5 / 5" in await page.text(ROWS)
    assert await page.errors() == []


async def test_the_address_has_the_filter(site: Site) -> None:
    """A link shows the same list; a row that fits no more leaves it, and one that fits comes."""
    await (await site.start("fails", "broken-1")).ended()
    await site.start("steps", "open-1")
    page = await site.open("#/runs?status=running")
    await page.until_text(ROWS, "open-1")
    assert len(await page.texts(ROWS)) == 1
    await site.start("steps", "open-2")
    await page.until(f"document.querySelectorAll('{ROWS}').length === 2")
    await page.click(".chips button:has-text('failed')")
    await page.until_text(ROWS, "broken-1")
    assert await page.run("location.hash") == "#/runs?status=failed"
    await page.until_text(ROWS, "3 rows are not numbers")
    assert len(await page.texts(ROWS)) == 1


async def test_runs_that_ask_are_found_and_leave_when_they_are_answered(site: Site) -> None:
    """What events do not tell is asked of the server again, for this filter alone."""
    run = await site.start("asks", "asking-1")
    await asked(run)
    page = await site.open("#/runs?question=1")
    await page.until_text(ROWS, "asking-1")
    await run.send("approve", {"publish": True})
    await page.until_text("main", "No run fits")


async def test_an_idle_list_asks_for_nothing_but_its_stream(site: Site) -> None:
    """One page of runs, one stream of what happens; no row is asked for again and again."""
    await (await site.start("fails", "done-1")).ended()
    page = await site.open()
    await page.until_text(".connection", "live")
    await page.until_text(ROWS, "1 / 2")
    before = [url for url in await page.requests() if "/api/v1/" in url]
    assert sum("/events?types=" in url for url in before) == 1
    for number in range(3):
        await (await site.start("fails", f"more-{number}")).ended()
    await page.until(f"document.querySelectorAll('{ROWS}').length === 4")
    await page.until("document.querySelectorAll('.run-table .row-failed').length === 4")
    assert [url for url in await page.requests() if "/api/v1/" in url] == before


async def test_the_keyboard_moves_in_the_list_and_opens_a_run(site: Site) -> None:
    """Arrows and j and k; Enter opens; the back button leads back to the same filter."""
    for name in ("one", "two", "three"):
        await site.start("steps", name)
    page = await site.open("#/runs?workflow=steps")
    await page.until(f"document.querySelectorAll('{ROWS}').length === 3")
    await page.act("focus", "a.run[tabindex='0']")
    await page.act("press", "a.run[tabindex='0']", "ArrowDown")
    assert await page.run("document.activeElement.innerText") == "two"
    await page.act("press", "a.run:focus", "j")
    assert await page.run("document.activeElement.innerText") == "one"
    await page.act("press", "a.run:focus", "Enter")
    await page.until_text("h1", "one")
    await page.run("history.back()")
    await page.until(f"document.querySelectorAll('{ROWS}').length === 3")
    assert await page.run("location.hash") == "#/runs?workflow=steps"


async def test_several_runs_are_cancelled_and_tried_again_at_once(site: Site) -> None:
    """Chosen by click or by the key x; each button says for how many of them it is; what became of them is said."""
    ended = await site.start("fails", "broken-1")
    await ended.ended()
    runs = [await site.start("steps", name) for name in ("one", "two")]
    page = await site.open()
    await page.until(f"document.querySelectorAll('{ROWS}').length === 3")
    await page.act("focus", "a.run[tabindex='0']")
    await page.act("press", "a.run:focus", "x")
    await page.act("press", "a.run:focus", "ArrowDown")
    await page.act("press", "a.run:focus", "x")
    await page.click("input[aria-label='Choose broken-1']")
    await page.until_text(".bulk", "3 runs chosen")
    await page.click(".bulk button:has-text('Cancel 2')")
    assert [run.status for run in runs] == ["running", "running"], "it asks first"
    await page.click(".bulk .box button.main")
    await page.until_text(".messages", "cancelling: 2 runs")
    for run in runs:
        await run.ended()
    assert [run.status for run in runs] == ["cancelled", "cancelled"]
    await page.click("input[aria-label='Choose broken-1']")
    await page.click(".bulk button:has-text('Retry 1')")
    await page.click(".bulk .box button.main")
    await page.until(f"document.querySelectorAll('{ROWS}').length === 4")
