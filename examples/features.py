"""Every option of a task, used once: a morning call to some weather stations.

    reactor run examples/features.py
    reactor run examples/features.py fail=true                  one station does not answer
    reactor run examples/features.py 'settings={"warm": 35}'    the other branch
    reactor run examples/features.py ask=true --send approve=true    a person is asked, and agrees

    open_line -> stations -> measure[0..5] -> convert[0..5] -> summary -+-> heat_warning   (when it is warm)
                                   |                                    +-> all_quiet      (when it is not)
                                   |                                    +-> archive
                                   |                                    +-> trend          (in a process)
                                   |                                    +-> approve        (when ask=true)
                                   '------------------------------------'-> hang_up        (whatever happened)

Read it from top to bottom: each section shows one more feature.
"""

import asyncio
import time
from typing import Any

from pydantic import BaseModel, Field

from reactor import Cache, Context, Limit, Retry, Workflow

# A run that takes longer than its timeout, in seconds, is stopped and fails. Pauses do not count.
flow = Workflow("features", timeout=600)


# --- inputs of a run --------------------------------------------------------------------------------------------


class Settings(BaseModel):
    """An input may have any type that pydantic knows. It is checked before the run starts, and documented over HTTP."""

    stations: list[str] = Field(
        default=["Aasen", "Birken", "Calw", "Dahlem", "Erfurt", "Fichtel"], min_length=1, max_length=100
    )
    warm: float = Field(default=20.0, description="degrees Celsius from which there is a warning")


DEFAULTS = Settings()


# --- sync and async bodies, order without data ------------------------------------------------------------------


# `async def` runs on the event loop.
@flow.task
async def open_line() -> None:
    await asyncio.sleep(0.1)


# `after` waits for a task whose output is not needed. `settings` names no task: it is an input of the run.
@flow.task(after="open_line")
async def stations(settings: Settings = DEFAULTS) -> list[str]:
    return settings.stations


# --- one child per item -----------------------------------------------------------------------------------------


# `map` runs the body once for each item of a list, at most `concurrency` at a time; the parameter with the name of the
# upstream is one item. A `def` body runs in a thread: it may block, and calls `ctx` without `await`. `retry` tries a
# broken line again, `timeout` gives up one that hangs. `limits` hold for all runs of an engine: at most 100 calls in
# any second.
@flow.task(
    map="stations",
    concurrency=3,
    retry=Retry(attempts=2, delay=0.1, retry_on=ConnectionResetError),
    timeout=30,
    limits=Limit("telephone", 100, per=1),
)
def measure(stations: str, ctx: Context, fail: bool = False) -> dict[str, Any]:
    for step in range(1, 5):
        time.sleep(0.1)
        ctx.progress(step / 4, f"{stations}: sensor {step} of 4")
    if ctx.map_index == 4 and ctx.attempt == 1:
        raise ConnectionResetError("the line broke")
    if fail and ctx.map_index == 2:
        raise ConnectionError(f"station {stations} does not answer")
    return {"station": stations, "fahrenheit": 50.0 + 3 * len(stations) + (ctx.map_index or 0)}


# Mapped over a mapped task, children pair by index: convert[i] starts when measure[i] is done, not when all are.
@flow.task(map={"reading": "measure"})
async def convert(reading: dict[str, Any], ctx: Context) -> dict[str, Any]:
    await asyncio.sleep(0.1)
    celsius = round((reading["fahrenheit"] - 32) * 5 / 9, 1)
    # An event of your own, in the same stream and log. Its type is words joined by dots.
    await ctx.emit("weather.measured", {"station": reading["station"], "celsius": celsius})
    return {"station": reading["station"], "celsius": celsius}


# --- all children as a list -------------------------------------------------------------------------------------


# `needs` binds a parameter to an upstream with another name. `meta` is any JSON, for people who look at the workflow.
@flow.task(needs={"readings": "convert"}, meta={"title": "Sum up", "owner": "weather desk"})
def summary(readings: list[dict[str, Any]], ctx: Context) -> dict[str, Any]:
    hottest = max(readings, key=lambda reading: reading["celsius"])
    mean = round(sum(reading["celsius"] for reading in readings) / len(readings), 1)
    ctx.log.info("summed up", stations=len(readings), owner=ctx.meta["owner"])
    return {"mean": mean, "hottest": hottest}


# `cache` reuses the output of an earlier run with the same key, if it is less than an hour old.
@flow.task(cache=Cache(key=lambda summary: summary["mean"], ttl=3600))
async def archive(summary: dict[str, Any]) -> str:
    await asyncio.sleep(0.2)
    return f"archived a mean of {summary['mean']} °C"


# A body in its own process can be killed, and can compute without slowing others. It must be at module level.
@flow.task(executor="process")
def trend(summary: dict[str, Any], ctx: Context) -> str:
    ctx.progress(0.5, "computing")
    return "rising" if summary["hottest"]["celsius"] > summary["mean"] + 2 else "steady"


# --- asking a person --------------------------------------------------------------------------------------------


# The body waits for a value, for days if need be and across restarts. Send it with `await run.send("approve", True)` or
# `POST /runs/{id}/input`.
@flow.task(when=lambda ask=False: ask)
async def approve(summary: dict[str, Any], ctx: Context) -> bool:
    return await ctx.receive(f"publish a mean of {summary['mean']} °C?", schema=bool)


# --- branches ---------------------------------------------------------------------------------------------------


# The parameters of a condition are bound like those of a body.
def is_warm(summary: dict[str, Any], settings: Settings = DEFAULTS) -> bool:
    return summary["hottest"]["celsius"] >= settings.warm


def is_cool(summary: dict[str, Any], settings: Settings = DEFAULTS) -> bool:
    return not is_warm(summary, settings)


@flow.task(when=is_warm)
async def heat_warning(summary: dict[str, Any]) -> str:
    return f"{summary['hottest']['station']} reports {summary['hottest']['celsius']} °C"


# If the condition is false, the task is skipped with reason `condition`, and so are the tasks that depend on it.
@flow.task(when=is_cool)
async def all_quiet(summary: dict[str, Any]) -> str:
    return f"a mean of {summary['mean']} °C, nowhere too warm"


# --- when something fails ---------------------------------------------------------------------------------------


# With `fail=true`, measure[2] fails and its siblings finish. The tasks that depend on it are skipped: convert[2],
# summary, ... With `on_upstream_failure="run"`, this task runs once its upstreams have ended in any way. A parameter
# whose upstream has no output gets its default. The failure then counts as handled, and the run completes.
@flow.task(after="measure", on_upstream_failure="run")
async def hang_up(ctx: Context, summary: dict[str, Any] | None = None) -> dict[str, Any]:
    measured = ctx.upstreams["measure"]
    if measured.status != "completed":
        await ctx.log.warning("a station failed", status=measured.status)
    return {"measure": measured.status, "summary": ctx.upstreams["summary"].status, "has_result": summary is not None}


if __name__ == "__main__":
    for task, output in flow.run({"fail": False}).items():
        print(f"{task}: {output}")
