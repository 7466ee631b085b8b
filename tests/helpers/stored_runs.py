"""A log file with runs of each kind, which nobody owns, and the file of their workflow."""

from __future__ import annotations

from pathlib import Path

from reactor import Engine
from reactor.definition.schedules import ScheduleRule
from reactor.logs.sqlite.log import SqliteLog
from reactor.ports.schedules import ScheduleRecord
from reactor_web.terminal.load import load_workflow
from tests.helpers.runs import wait_for_event

FLOW = """\
from typing import Literal

from reactor import Context, Workflow

release = Workflow("release")


@release.task
async def build(ctx: Context, version: str) -> str:
    ctx.log.info("built", files=3)
    if version == "v0":
        raise ValueError("v0 does not build")
    return version


@release.task
async def deploy(ctx: Context, build: str, ask: bool = True) -> str:
    if not ask:
        return f"{build} now"
    when = await ctx.receive("deploy when?", schema=Literal["now", "later"])
    return f"{build} {when}"
"""


async def store_runs(folder: Path) -> Path:
    """Writes ``release.py`` and ``runs.db``: ``done`` completed, ``bad`` failed, ``asks`` is left with a question."""
    file, log = folder / "release.py", folder / "runs.db"
    file.write_text(FLOW)
    workflow = load_workflow(str(file))
    async with Engine(f"sqlite:///{log}", workflows=[workflow], grace=0.0) as engine:
        done = await engine.start(workflow, {"version": "v1", "ask": False}, run_id="done", meta={"team": "web"})
        await done.ended()
        bad = await engine.start(workflow, {"version": "v0"}, run_id="bad")
        await bad.ended()
        asks = await engine.start(workflow, {"version": "v2"}, run_id="asks", meta={"team": "web"})
        await wait_for_event(asks, "task.waiting")
    return log


async def store_schedule(file: Path, name: str, cron: str) -> None:
    """Puts a schedule of ``release`` into the file; no engine is opened, which would go on with its runs."""
    rule = ScheduleRule(cron, "Europe/Berlin").as_json()
    log = SqliteLog(file)
    await log.open()
    try:
        given = {"version": "v3", "ask": False}
        record = ScheduleRecord(name, "", "release", rule, given, "ada", False, "2026-01-01T00:00:00Z")
        assert await log.replace_schedule(None, record)
    finally:
        await log.close()
