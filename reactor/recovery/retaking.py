"""Takes up the runs that were lost because the log failed, in the same process, as soon as the log answers again.

A lost run waits for three things: the answer to its last append, for until then nobody knows where it ends in the log;
a pause, which grows while the log goes on failing; and the commit of its ``run.resumed``. No body starts before that,
so a log that stays away costs attempts to write, and never the second run of a body.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from reactor.bounds import RETAKE_FIRST_SECONDS, RETAKE_MOST_SECONDS
from reactor.clock import sleep
from reactor.errors import UnknownRun
from reactor.logger import get_logger
from reactor.recovery.reading import load_past
from reactor.runs.host import Host
from reactor.runs.lost import LostRun
from reactor.runs.open_runs import OpenRuns
from reactor.runs.present import present_graph
from reactor.tracing.history import read_history

logger = get_logger()


@dataclass(slots=True)
class _Pause:
    """How long a run waits before it is taken up. It grows with each loss, unless the run has gone on well between."""

    seconds: float = RETAKE_FIRST_SECONDS
    since: float = 0.0
    """When it was last used, on the monotonic clock."""


class Retaking:
    """The lost runs of one engine."""

    def __init__(self, runs: OpenRuns) -> None:
        self._runs = runs
        self._clock = runs.clock
        self._host: Host | None = None
        """None before the engine is entered, and once it drains: nothing is taken up then."""
        self._pauses: dict[str, _Pause] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """By run id: what takes up a run."""

    def open(self, host: Host) -> None:
        self._host = host

    async def close(self) -> None:
        """Takes up nothing more. What is lost stays as the log has it, for the next engine."""
        self._host = None
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def begin(self, run_id: str) -> None:
        """The run was lost: from now on it is tried."""
        if self._host is not None:
            task = self._tasks[run_id] = asyncio.ensure_future(self._go_on(self._host, run_id))
            task.add_done_callback(lambda done: self._forget(run_id, done))

    def _forget(self, run_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(run_id) is task:  # else it was lost again, and a later one is at work
            del self._tasks[run_id]

    async def wait(self, run_id: str) -> None:
        """Returns when a lost run may be tried: its last append is answered, the log says of itself that it can be
        used, and its pause is over."""
        lost = self._runs.lost.get(run_id)
        if lost is None:
            return
        if not lost.answered.done():
            await asyncio.wait({lost.answered})
        await self._runs.health.well()
        await sleep(self._clock, self._next_pause(run_id))

    def _next_pause(self, run_id: str) -> float:
        now, runs = self._clock.monotonic(), self._runs
        self._pauses = {id: pause for id, pause in self._pauses.items() if id in runs.lost or id in runs.open}
        pause = self._pauses.setdefault(run_id, _Pause())
        if now - pause.since > 2 * RETAKE_MOST_SECONDS:
            pause.seconds = RETAKE_FIRST_SECONDS
        seconds, pause.since = pause.seconds, now
        pause.seconds = min(2 * seconds, RETAKE_MOST_SECONDS)
        return seconds

    async def _go_on(self, host: Host, run_id: str) -> None:
        lost = self._runs.lost.get(run_id)
        while lost is not None:
            await self.wait(run_id)
            if self._runs.lost.get(run_id) is not lost:
                break  # it was started anew meanwhile, for it had not come into the log
            try:
                await self._take_up(host, lost)
            except Exception as problem:  # the log cannot be read either, or what it says cannot be folded
                logger.warning("lost run not taken up yet", run_id=run_id, error=str(problem))
            else:
                break  # it goes on, or was lost again, which has begun anew

    async def _take_up(self, host: Host, lost: LostRun) -> None:
        runs = self._runs
        if not await runs.leases.take(lost.run_id):  # another process goes on with it
            runs.lost.pop(lost.run_id, None)
            return
        try:
            feed = await runs.load_feed(lost.run_id, closed=None)
        except UnknownRun:  # not even its run.started came into the log: there is no such run
            runs.lost.pop(lost.run_id, None)
            return
        if feed.closed is not None:  # its last window came into the log after all
            runs.found_ended(feed)
            return
        if feed.state.upgraded and (await present_graph(feed, {})).identity != lost.graph.identity:
            runs.lost.pop(lost.run_id, None)  # another process went on with it in a later graph
            runs.leases.release(lost.run_id)  # it is found like any run that nobody holds
            return
        last = await feed.event(feed.last_seq)
        past = await load_past(runs.log, lost.graph, feed.state, last, self._clock.now().decode(), crashed=False)
        if host.tracing is not None:
            past = past._replace(trace=await read_history(runs.log, feed.run_id, feed.last_seq, lost.traced))
        await runs.take_up_lost(host, lost, feed, past)
