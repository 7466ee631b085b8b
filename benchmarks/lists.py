"""``python -m benchmarks.lists [RUNS]``: how long a page of a list of runs takes, under every filter, in each log.

The runs are spread over ten workflows, 200 customers (a member of meta), three tenths of child runs and a minute each;
one in a hundred failed, one in a hundred waits for an answer. A page has 100 runs. Each filter is asked for alone, then
what is rare together with what is frequent, then what never comes together. The worst case of an index is a page that
has nothing: all that it looks at is in vain.

Then the open questions of all runs, none of which is open here, so that the first page folds each from the log.

A target, not a test: a page under 20 ms at 20,000 runs.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

from benchmarks.redis_log import redis_log
from reactor.clock import SystemClock
from reactor.listeners import Listeners
from reactor.logs.memory import MemoryLog
from reactor.logs.of_tenant import stores_of_tenant
from reactor.logs.sqlite.log import SqliteLog
from reactor.logs.stores import stores_of
from reactor.runs.asked import AskedIn, KeptQuestions
from reactor.runs.open_runs import OpenRuns
from reactor.testing.listing_laws import START, Told

TARGET_MS: Final = 20.0
RUNS: Final = 20_000
TIMES: Final = 9
PAGE: Final = 100


def _at(run: int) -> datetime:
    return START + timedelta(minutes=run)


def filters(runs: int) -> dict[str, dict[str, Any]]:
    """What is asked for, by what the table calls it."""
    return {
        "none": {},
        "status": {"status": "failed"},
        "workflow": {"workflow": "w3"},
        "parent": {"parent": "r0"},
        "root": {"root": "r0"},
        "since": {"since": _at(runs - 50)},
        "until": {"until": _at(50)},
        "meta": {"meta": {"customer": "c7"}},
        "question": {"question": True},
        "open": {"open": True},
        "status and workflow": {"status": "failed", "workflow": "w3"},
        "two members of meta": {"meta": {"customer": "c7", "even": "false"}},
        "a span, status and workflow": {
            "since": _at(runs // 2), "until": _at(runs // 2 + 2_000), "status": "completed", "workflow": "w3",
        },
        "all": {
            "status": "running", "workflow": "w0", "root": "r0", "since": _at(10), "until": _at(runs),
            "meta": {"even": "true"}, "question": True,
        },
        "what never comes together": {"meta": {"even": "true", "odd": "true"}},
    }  # fmt: skip


async def fill(log: Any, runs: int) -> None:
    """Writes them, some at a time."""
    told: list[Told] = []

    async def one(n: int) -> None:
        run = told[n]
        await run.start(log, n * 60.0, f"w{n % 10}", {"customer": f"c{n % 200}", "even": n % 2 == 0, "odd": n % 2 == 1})
        if n % 100 == 50:
            await run.ask(log, "t", "k")
        else:
            await run.end(log, "failed" if n % 100 == 3 else "completed")

    for n in range(runs):
        told.append(Told(f"r{n}", told[0] if n % 10 > 6 else None))
    await one(0)
    for first in range(1, runs, 500):
        await asyncio.gather(*(one(n) for n in range(first, min(first + 500, runs))))


async def measure(log: Any, runs: int) -> dict[str, tuple[float, float, int]]:
    """Median and longest time of a page in milliseconds, and how many runs it has, by filter."""
    figures: dict[str, tuple[float, float, int]] = {}
    for name, wanted in filters(runs).items():
        took: list[float] = []
        page: list[Any] = []
        for _ in range(TIMES):
            began = perf_counter()
            page = await log.records(before=None, limit=PAGE, **wanted)
            took.append((perf_counter() - began) * 1000)
        figures[name] = (median(took), max(took), len(page))
    return figures


async def measure_questions(log: Any) -> tuple[float, float, int]:
    """The same of a page of the questions of all runs."""
    store = stores_of(log)
    runs = OpenRuns(stores_of_tenant(store, ""), SystemClock(), Listeners(()))
    asked, took = AskedIn(runs, KeptQuestions()), list[float]()
    began = perf_counter()
    page = await asked.page(None, PAGE)
    print(f"  {'open questions, first':28} {(perf_counter() - began) * 1000:7.2f} ms")
    for _ in range(TIMES):
        began = perf_counter()
        page = await asked.page(None, PAGE)
        took.append((perf_counter() - began) * 1000)
    return median(took), max(took), len(page.questions)


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncGenerator[Any]:
    """A fresh log."""
    if kind == "redis":
        with redis_log() as log:
            await log.open()
            yield log
            await log.close()
        return
    log = MemoryLog(max_ended=10**9) if kind == "memory" else SqliteLog(folder / "runs.db")
    await log.open()
    yield log
    await log.close()


async def main(runs: int) -> int:
    worst = 0.0
    for kind in ("memory", "sqlite", "redis"):
        with TemporaryDirectory() as folder:
            async with opened(kind, Path(folder)) as log:
                began = perf_counter()
                await fill(log, runs)
                print(f"{kind}: {runs:,} runs written in {perf_counter() - began:.1f} s")
                figures = {**await measure(log, runs), "open questions": await measure_questions(log)}
                for name, (middle, longest, count) in figures.items():
                    print(f"  {name:28} {middle:7.2f} ms, at most {longest:7.2f} ms, {count:3} found")
                    worst = max(worst, middle)
    print(f"the slowest page takes {worst:.2f} ms, the target is {TARGET_MS:g}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else RUNS)))
