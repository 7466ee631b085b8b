"""One run as a client knows it: its state, and its streams, each of which folds what it is sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple

from reactor.errors import UnknownRun
from reactor.events.event import Message, Notice
from reactor.events.fold import evolve
from reactor.events.parts import put_together
from reactor.events.state import RunState
from reactor.events.vocabulary import RunStatus
from reactor.requests import RUN_STATUSES
from reactor_web.client.answer import Answered
from reactor_web.client.connection import Connection
from reactor_web.client.errors import StreamClosed
from reactor_web.client.follow import ANEW
from reactor_web.client.messages import message_of, not_an_event


class _Told(NamedTuple):
    """What an answer said of the run, which may be newer than its events here."""

    seq: int
    status: RunStatus


class Followed:
    """The state of a run, and where its events come from.

    All streams of a handle fold into one state: an event counts where its stream has said everything between the state
    and it. So the state is current as long as one of them is read that began at 0, or with a snapshot.
    """

    def __init__(self, run_id: str, connection: Connection, *, await_run: float | None = None) -> None:
        self.run_id = run_id
        self.connection = connection
        self.state = RunState(run_id)
        self.path = f"/runs/{run_id}"
        self.is_left = False
        """Whether the server said, last, that it does not go on with the run."""
        self._await_run = None if await_run is None else f"{await_run:g}"
        self._told: _Told | None = None

    # --- what is known ---

    @property
    def status(self) -> RunStatus:
        """The newest that is known, from an event or from an answer."""
        told = self._told
        return self.state.status if told is None or told.seq <= self.state.seq else told.status

    def tell(self, answer: Answered) -> None:
        """Notes what the answer to a start or a command says of the run."""
        seq, status = answer["seq"], answer["status"]
        if answer["run_id"] != self.run_id or not isinstance(seq, int) or status not in RUN_STATUSES:
            raise answer.refused("what is not about this run")
        if self._told is None or self._told.seq <= seq:
            self._told = _Told(seq, status)
        if not self.state.seq:
            self.state.workflow, self.state.version = answer["workflow"], answer["version"]

    def adopt(self, snapshot: dict[str, Any]) -> None:
        """Takes over a state as the server shows it, if it is newer than what is known."""
        if snapshot.get("seq", 0) > self.state.seq:
            self._set(RunState.from_dict(snapshot))

    def forget(self) -> None:
        """The run began anew."""
        self._told = None
        self._set(RunState(self.run_id))

    def _set(self, state: RunState) -> None:
        for name in RunState.__slots__:  # in place, since views of it are with users
            setattr(self.state, name, getattr(state, name))

    async def ask(self, method: str, path: str = "", **options: Any) -> Answered:
        """The JSON of the answer to a request about this run."""
        return (await self.connection.ask(method, self.path + path, **options)).json

    async def fetch(self) -> dict[str, Any]:
        """``GET /runs/{id}``, which brings the state up to date."""
        body = await self.ask("GET")
        if body["run_id"] != self.run_id or body["status"] not in RUN_STATUSES:
            raise body.refused("what is not the state of this run")
        try:
            self.adopt(body)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise body.refused("what is not the state of this run") from error
        self.is_left = body.get("recoverable") is False
        return body

    async def delete(self) -> None:
        """Removes the run."""
        await self.ask("GET", "/events", query={"after": "0", "limit": "1"})  # raises UnknownRun
        try:
            await self.connection.ask("DELETE", self.path)
        except UnknownRun:
            pass  # it was there: a request whose answer got lost, which aiohttp repeats by itself, has removed it

    # --- its streams ---

    async def messages(self, after: int = 0, *, snapshot: bool = False) -> AsyncGenerator[Message, None]:
        """The events with ``seq > after``, then live, and ``stream.gap`` in place of what is gone. Ends with the run.

        ``snapshot``: the events from now on; the state is brought up to date before the first of them. Ends early
        where the server does not go on with the run (``is_left``). Raises ClientClosed where the client closes.
        """
        # no throttle, whatever the server was mounted with: without every event there is no state
        query = {"throttle": "0", "snapshot": "1" if snapshot else None, "await_run": self._await_run}
        url = self.connection.url(f"{self.path}/events")
        reading = _Reading(self, after)
        self.is_left = False
        try:
            async with aclosing(self.connection.frames(f"{self.path}/events", query, after, is_whole=True)) as frames:
                async for frame in frames:
                    if frame.event == "stream.end":
                        return
                    message = message_of(url, frame)
                    if message.run_id != self.run_id:
                        raise not_an_event(url, frame, f"it is of another run than {self.run_id}")
                    try:
                        shown = reading.take(message)
                    except (KeyError, TypeError, ValueError, AttributeError) as error:
                        raise not_an_event(url, frame, "its data cannot be read") from error
                    if shown is not None:
                        yield shown
        except StreamClosed as closed:
            if closed.closing == "not_found":
                raise UnknownRun.of(self.run_id) from closed
            self.is_left = True


class _Reading:
    """Where one stream is, and what of it passes."""

    def __init__(self, run: Followed, after: int) -> None:
        self._run = run
        self._position = after
        """The seq of the last event that passed, or that a gap stands for."""
        self._parts: dict[str, Any] = {}
        """Of a ``run.state`` that comes in parts: those that have come."""

    def take(self, message: Message) -> Message | None:
        """What a subscriber is given of a message; None where it is only for the state, or was told before."""
        if isinstance(message, Notice):
            return self._take_notice(message)
        if message.seq <= self._position:
            return None
        state = self._run.state
        if self._position <= state.seq < message.seq:
            evolve(state, message)
        self._position = message.seq
        return message

    def _take_notice(self, notice: Notice) -> Notice | None:
        if notice.type == "run.state":
            self._take_state(notice.data)
        elif notice.type == "stream.gap":
            return self._take_gap(notice)
        return None

    def _take_gap(self, gap: Notice) -> Notice | None:
        if gap.data["reason"] in ANEW:
            self._run.forget()
            self._position = 0
            return gap
        start, end = gap.data["from"], gap.data["to"]
        if end <= self._position:
            return None  # the connection was cut behind it, and nothing has come since
        first, self._position = max(start, self._position + 1), end
        return Notice(gap.type, gap.run_id, gap.time, {**gap.data, "from": first})

    def _take_state(self, data: dict[str, Any]) -> None:
        part, parts = data.get("part", 1), data.get("parts", 1)
        self._parts = data if part == 1 else put_together(self._parts, data)
        if part == parts:
            self._run.adopt(self._parts)
            self._position = max(self._position, self._parts["seq"])
            self._parts = {}
