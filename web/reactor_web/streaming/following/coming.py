"""A client whose run has not started: once it starts, it is followed like any other.

Nothing of this needs the handler of the request, so thousands can wait for one run at the price of a socket each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from reactor.clock import Patience, SystemClock
from reactor.errors import UnknownRun
from reactor.events.event import Notice
from reactor.runs.run import Run
from reactor_web.bounds import RETRY_MS
from reactor_web.dialects import End, Waits
from reactor_web.streaming.connection.client import GONE, Client
from reactor_web.streaming.connection.wire import Wire
from reactor_web.streaming.fan_out import fan_out_of
from reactor_web.streaming.following.follower import Follower
from reactor_web.streaming.following.opening import open_young_run
from reactor_web.streaming.pipeline.channels import Channels


class Coming:
    """Waits for a run, with heartbeats, for ``await_run`` seconds at most; then it is a follower of the run."""

    __slots__ = (
        "_beats", "_channels", "_due_beats", "_follower", "_is_late", "_patience", "_pending", "_timer", "client",
        "wire",
    )  # fmt: skip

    def __init__(self, pending: Awaitable[Run], client: Client, wire: Wire, channels: Channels) -> None:
        loop = asyncio.get_running_loop()
        self.client = client
        self.wire = wire
        self._channels = channels
        self._pending = asyncio.ensure_future(pending)
        fan_out = fan_out_of(loop)
        self._pending.add_done_callback(lambda _: fan_out.enter(client.wake))  # thousands may wait for the same run
        self._patience = Patience(SystemClock(), client.options.await_run, self._give_up)
        self._is_late = False
        self._due_beats = self._beats = 0
        self._timer: asyncio.TimerHandle | None = None
        self._set_timer()
        self._follower: Follower | None = None

    @property
    def waits(self) -> bool:
        """Whether there is nothing to do but to wait."""
        return not self._pending.done() and not self._is_late and self.client.closing is None

    async def look(self) -> Run | None:
        """The run, once it has started; None before that. Writes the heartbeats that are due."""
        while self._beats < self._due_beats and self.waits:
            self._beats += 1
            await self._beat()
        if self._pending.done():  # perhaps while a heartbeat was written
            self._stop_waiting()
            return self._started()
        return None

    def _started(self) -> Run | None:
        if self._pending.cancelled():
            self.client.close("shutdown")  # whoever runs it has closed
            return None
        try:
            self.client.run = self._pending.result()
        except UnknownRun:  # it has started, but is not the one that the request is about
            return None
        return self.client.run

    async def _beat(self) -> None:
        dialect = self.client.options.find_dialect()
        run_id = self.client.run_id
        state = dialect.waiting(run_id) if isinstance(dialect, Waits) else dialect.begin(None, "resume")[0]
        await self.wire.write(dialect.heartbeat(state, self._beats, SystemClock().now().decode()))

    def _set_timer(self) -> None:
        if self.client.options.heartbeat:
            self._timer = asyncio.get_running_loop().call_later(self.client.options.heartbeat, self._ring)

    def _ring(self) -> None:
        self._due_beats += 1
        self._set_timer()
        self.client.wake()

    def _give_up(self) -> None:
        self._is_late = True
        self.client.wake()

    def _stop_waiting(self) -> None:
        if self.client.admission is not None:
            self.client.admission.stop_waiting()
        self._patience.cancel()
        if self._timer is not None:
            self._timer.cancel()

    # --- as a follower ---

    async def advance(self) -> bool:
        """Writes what there is. True when nothing more is there for now; False when the stream is over."""
        if self._follower is None:
            run = await self.look()
            if run is None:
                return self.waits
            self._follower = await open_young_run(run.feed, self.client, self.wire, self._channels)
        return await self._follower.advance()

    async def finish(self) -> None:
        """Writes why nothing more comes, unless the client has gone."""
        if end := self.last_frames():
            await self.wire.write(end)

    def last_frames(self) -> bytes:
        """Why nothing more comes. Empty where the client has gone, or where its dialect says nothing."""
        if self._follower is not None:
            return self._follower.last_frames()
        self.client.close("not_found")  # unless it closes for another reason already
        if self.client.closing == GONE:
            return b""
        dialect = self.client.options.find_dialect()
        data = {"reason": self.client.closing, "retry_ms": RETRY_MS}
        closing = Notice("stream.closing", self.client.run_id, SystemClock().now().decode(), data)
        return dialect.end(dialect.begin(None, "resume")[0], End(closing))

    def leave(self) -> None:
        """Waits no longer, and leaves the channel if it is in one."""
        self._stop_waiting()
        self._pending.cancel()
        if self._follower is not None:
            self._follower.leave()
