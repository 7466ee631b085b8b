"""The part of a ``Run`` that says something in it, from outside its bodies: ``emit``, ``log``, ``spend``."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from reactor import bounds
from reactor.clock import is_in_loop
from reactor.context.task_log import LEVELS, TaskLog
from reactor.definition.names import did_you_mean, known_names
from reactor.definition.policy import check_tokens, money
from reactor.definition.task import Task, task_id_of
from reactor.errors import Backpressure, InvalidEvent, KeyReused, ReactorError, RunEnded, RunNotHere
from reactor.events.emitted import check_type, encode_data
from reactor.events.keyed import Emitted, Remembered, digest_of, seqs_of, tail_of
from reactor.events.values import json_kind
from reactor.requests import check_key
from reactor.runs.execution import Execution
from reactor.stream.feed import Closed, Feed
from reactor.stream.follow import closing_error
from reactor.waiting import READY, methods_must_be_awaited, turn_of

_MEMBERS: Final = ("type", "data", "task")


class Asks(Protocol):
    """Asks whoever executes a run for a command: its feed here, the name of the command, what it is given with."""

    async def ask(self, feed: Feed, name: str, given: Mapping[str, Any]) -> Any:
        """Returns what the command returns, once its event is seen here; raises what it raises."""
        ...

    def say(self, feed: Feed, name: str, given: Mapping[str, Any]) -> Awaitable[Any]:
        """The same, asked for at once, also where nobody awaits it. Raises Backpressure."""
        ...


@methods_must_be_awaited("run")
class Emitting:
    """What can be said in an open run, beside its tasks. In a session it is all that is said.

    Each call appends at once, and returns an awaitable that is done when the window has room, as ``ctx.emit`` does.
    After the terminal event each raises RunEnded. Call them on the loop of the engine.

    ``task``: what the event is about. In a run with tasks it is one of them, else UnknownTask is raised; in a session
    any name that a task could have.
    """

    feed: Feed
    _ask: Asks | None = None
    """Asks whoever executes the run, where other processes may."""
    _left: Execution | None = None
    """What the run was here before another process went on with it."""

    @property
    @abstractmethod
    def _execution(self) -> Execution | None:
        """None of a run that is not open here."""

    @property
    def _elsewhere(self) -> Asks | None:
        """What asks another process for something; None of a run that is open here, or closed."""
        return self._ask if self._execution is None and self.feed.closed is None else None

    def emit(
        self,
        type: str,
        data: Mapping[str, Any] | Any | None = None,
        *,
        task: str | Task[..., Any] | None = None,
        key: str | None = None,
    ) -> Awaitable[None]:
        """Puts an event on the run's stream; ``data`` is anything that becomes a JSON object.

        ``key``: an idempotency key. The same event with the same key again is not appended again, also after a crash;
        the last 1,000 keys of a run are remembered. Raises KeyReused for a key that was used for another event;
        InvalidEvent, EventTooLarge (48 KiB), Backpressure (far too many without ``await``), UnknownTask, RunEnded.
        """
        try:
            event = self._checked(type, data, task, key, "")
        except ReactorError as error:
            return _refused(error)
        return self._say_now("run.emit", [event], key)

    async def emit_all(self, events: Sequence[Mapping[str, Any]], *, key: str | None = None) -> list[int]:
        """Emits events ``{type, data?, task?}``, all or none, and returns their seqs once they are in the log.

        At most 1,000; no other event comes between them. ``key`` is of all together, and the errors are those of
        ``emit``, with the place of the event; also LogLost.
        """
        try:
            return await self._emit_all(events, key)
        except ReactorError as error:
            await _refused(error)
            raise

    async def _emit_all(self, events: Sequence[Mapping[str, Any]], key: str | None) -> list[int]:
        if not 1 <= len(events) <= bounds.EMITTED_AT_ONCE:
            most = f"1 to {bounds.EMITTED_AT_ONCE:,}"
            raise InvalidEvent(f"run {self.feed.run_id}: {most} events are emitted at once, not {len(events):,}")
        places = [f"events[{index}]: " for index in range(len(events))] if len(events) > 1 else [""]
        checked = [self._of_mapping(event, key, place) for event, place in zip(events, places, strict=True)]
        if (ask := self._elsewhere) is not None:
            return await ask.ask(self.feed, "emit", _given(checked, key))
        execution, seqs = self._execution, await self._emit_checked(checked, key)
        if execution is None or await self._upto(execution, seqs[-1]):
            return seqs
        return await self._emit_all(events, key)  # where the run goes on

    async def _emit_checked(self, checked: list[Emitted], key: str | None) -> list[int]:
        """For the engine: appends events to a run that is open here, once there is room. Returns their seqs."""
        while (execution := self._execution) is not None and execution.journal.room.full and not execution.is_closed:
            await execution.journal.wait_for_room()
        return self._say("run.emit_all", checked, key)[0]

    @property
    def log(self) -> RunLog:
        """``run.log.info("loaded", rows=12)``, as ``ctx.log``; ``run.log("info", "loaded", task="load", rows=12)``."""
        return RunLog(self._log)

    def spend(self, *, cost: Any = 0, tokens: int = 0, task: str | Task[..., Any] | None = None) -> Awaitable[None]:
        """Counts money and tokens against the budgets of this run and of its parents: ``task.spent``.

        ``cost`` is a number or a decimal as text; raises ValueError for a negative or infinite one.
        """
        try:
            check_tokens(tokens)
            amount, task_id = money(cost), _task_id_of(task)
            if (ask := self._elsewhere) is not None:
                return ask.say(self.feed, "spend", {"cost": str(amount), "tokens": tokens, "task": task_id})
            execution = self._open_now("run.spend")
            execution.outside.spend(task_id, amount, tokens)
        except (ReactorError, ValueError) as error:
            return _refused(error)
        return execution.outside.room()

    async def committed(self) -> None:
        """Done when all that was said in the run so far is in the log. Raises LogLost where it never will be, and
        Unanswered where another process goes on with the run, and nobody knows.
        """
        execution = self._execution or self._left
        if execution is not None:
            journal = execution.journal
            await journal.committed()
            journal.check_kept()
        await _turn()

    # --- how ---

    def _say_now(self, what: str, events: list[Emitted], key: str | None) -> Awaitable[None]:
        """Appends what is not in the log yet. Returns the wait for room; for the commit, if it is done elsewhere."""
        try:
            if (ask := self._elsewhere) is not None:
                return ask.say(self.feed, "emit", _given(events, key))
            return self._say(what, events, key)[1]
        except ReactorError as error:
            return _refused(error)

    def _say(self, what: str, events: list[Emitted], key: str | None) -> tuple[list[int], Awaitable[None]]:
        """Appends what is not in the log yet. Returns the seqs of all, and the wait for room."""
        seqs: list[int] = []
        digest = ""
        if key is not None:
            digest = digest_of(events)
            known = self._remembered(key)
            if known is not None and known[0] != digest:
                raise KeyReused(
                    f"run {self.feed.run_id}: the key {key[:50]!r} was used for another event; "
                    "a new event needs a new key",
                    run_id=self.feed.run_id,
                    key=key,
                )
            seqs = [] if known is None else seqs_of(known)
        if len(seqs) >= len(events):
            return seqs, _turn()
        outside = self._open_now(what).outside
        return seqs + outside.emit(events[len(seqs) :], key, digest), outside.room()

    def _remembered(self, key: str) -> Remembered | None:
        if self._execution is not None and not self._execution.is_closed:
            return self._execution.outside.remembered(key)
        return (self.feed.state.remembered or {}).get(key)

    def _checked(self, type: Any, data: Any, task: Any, key: str | None, place: str) -> Emitted:
        def failure(kind: type[Exception], sentence: str) -> Exception:
            return cast(Any, kind)(f"run {self.feed.run_id}: {place}{sentence}", run_id=self.feed.run_id)

        try:
            check_key(key)
            task_id = _task_id_of(task)
        except (ValueError, TypeError) as error:
            raise failure(InvalidEvent, str(error)) from None
        beside = 0 if key is None else len(tail_of(key, "0" * 16))
        encoded = encode_data(check_type(type, failure), {} if data is None else data, failure, beside=beside)
        return type, task_id, encoded

    def _of_mapping(self, event: object, key: str | None, place: str) -> Emitted:
        if not isinstance(event, Mapping):
            sentence = f"{place}an event is an object {{type, data, task}}, not {json_kind(event)}"
            raise InvalidEvent(f"run {self.feed.run_id}: {sentence}", run_id=self.feed.run_id)
        members = cast("Mapping[str, Any]", event)
        for name in members:
            if name not in _MEMBERS:
                hint = did_you_mean(str(name), _MEMBERS) or f"; its members are {known_names(_MEMBERS)}"
                sentence = f"{place}an event has no member {str(name)[:50]!r}{hint}"
                raise InvalidEvent(f"run {self.feed.run_id}: {sentence}", run_id=self.feed.run_id)
        return self._checked(members.get("type"), members.get("data"), members.get("task"), key, place)

    def _log(self, level: str, message: str, fields: Mapping[str, Any], task: Any = None) -> Awaitable[None]:
        def failure(kind: type[Exception], sentence: str) -> Exception:
            return cast(Any, kind)(f"run {self.feed.run_id}: {sentence}", run_id=self.feed.run_id)

        try:
            if level not in LEVELS:
                raise failure(InvalidEvent, f"{level!r:.50} is no level of a log line; there are {known_names(LEVELS)}")
            data = encode_data("log.created", {"level": level, "message": message, "fields": fields}, failure)
        except ReactorError as error:
            return _refused(error)
        return self._say_now("run.log", [("log.created", _task_id_of(task), data)], None)

    def _open_now(self, what: str) -> Execution:
        """The open run. Raises RunEnded once its terminal event is written, and what says why it is not open here."""
        execution = self._execution
        if execution is None or self.feed.closed:
            raise self._not_open()
        if execution.sealed_as is not None:
            raise _ended(self.feed.run_id, execution.sealed_as)
        execution.outside.check_caller(what)
        return execution

    def _not_open(self) -> ReactorError:
        """Why nothing can be said or asked of the run."""
        run_id, status = self.feed.run_id, self.feed.state.status
        if (lost := closing_error(self.feed)) is not None:
            return lost
        if self.feed.closed not in (None, Closed.END):
            return RunNotHere(f"run {run_id} is {status}, and nobody in this process goes on with it", run_id=run_id)
        if self.feed.closed is None:
            return RunNotHere(
                f"run {run_id} goes on when its parent asks for it again, and that has not happened yet; "
                "resume the parent if it is paused, then try again",
                run_id=run_id,
            )
        return _ended(run_id, status)

    async def _upto(self, execution: Execution, seq: int) -> bool:
        """Done when an event that was written is in the log; False where it is not, and the run goes on elsewhere.

        Raises what says that it never will be there, or that nobody knows.
        """
        journal = execution.journal
        await journal.commits.upto(seq)
        if journal.has_left:
            return await journal.has_kept(seq)
        if self.feed.last_seq < seq:
            journal.check_kept()
        return True


def _given(events: list[Emitted], key: str | None) -> dict[str, Any]:
    return {"events": [[type, task_id, data.decode()] for type, task_id, data in events], "key": key}


class RunLog(TaskLog):
    """``run.log``: log lines of a run. ``run.log(level, message, task=…, **fields)`` is about a task."""

    __slots__ = ()
    name = "run.log"

    def __call__(self, level: str, message: str, /, *, task: Any = None, **fields: Any) -> Awaitable[None]:
        return cast(Any, self._write)(level, message, fields, task)


def _turn() -> Awaitable[None]:
    """Where others may run before the next call."""
    return turn_of(asyncio.get_running_loop()) if is_in_loop() else READY


def _refused(error: Exception) -> Awaitable[None]:
    """Raises the error; lets others run, where the caller goes on all the same."""
    if isinstance(error, Backpressure) or not is_in_loop():  # who is told of it awaits nothing
        raise error
    return turn_of(asyncio.get_running_loop()).refuse(error)


def _ended(run_id: str, status: str) -> RunEnded:
    return RunEnded(f"run {run_id} is {status} already", run_id=run_id, status=status)


def _task_id_of(task: str | Task[..., Any] | None) -> str | None:
    return None if task is None else task_id_of(task)
