"""The few places where tests look inside of the engine, because nothing public tells of it. Each says why."""

from __future__ import annotations

import asyncio
from typing import Any

from reactor import Context, Engine, Run
from reactor.operators.buffer_window import Room


def room_of(seen: Run | Context) -> Room:
    """The open window of a run: that it is full, and never overfull, is a law, but nobody else is to see it."""
    run: Any = seen
    scope = run._line._voice._scope if isinstance(seen, Context) else run._execution
    return scope.journal.room


def parked_at(engine: Engine, limit: str) -> int:
    """How many claims on a named limit are kept: that none is kept twice shows in memory only."""
    host: Any = engine.tenant("").enter()
    return len(host._named._slots_of(host._named._limits[limit])._parked)


def kill(engine: Engine) -> None:
    """Nothing more of this engine reaches its log, as if its process had been killed: ``drain`` is a clean stop."""
    tenants: Any = engine._tenants
    for tenant in tenants:
        for execution in list(tenant.runs.executions.values()):
            execution.journal.suspend()


async def recovery_done(engine: Engine) -> None:
    """Waits for what the engine does about runs beside the runs themselves, such as ending an orphan."""
    recovery: Any = engine.tenant("").recovery
    while recovery.left.upkeep:
        await asyncio.gather(*recovery.left.upkeep)
