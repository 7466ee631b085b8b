"""Commands to runs that other nodes execute, and commands of other nodes to those that are open here."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from reactor import bounds
from reactor.errors import Backpressure, LogUnavailable, ReactorError, RunEnded, RunNotHere, Unanswered
from reactor.logger import get_logger
from reactor.ports.handover import Inboxes
from reactor.ports.index import RunIndex
from reactor.runs.commands import (
    COMMANDS,
    Given,
    command_id,
    pack_answer,
    pack_command,
    unpack_answer,
    unpack_command,
)
from reactor.runs.execution import Execution
from reactor.runs.run import Run
from reactor.stream.feed import Feed
from reactor.stream.follow import iterate

logger = get_logger()

BATCH: Final = 200
"""Commands that are read at once, and whose events are committed together."""
SEEN_SECONDS: Final = 2.0
"""How long who asked waits until what was written is seen here too."""


class Inbox:
    """That of one tenant's runs. Loop thread only. ``runs``, ``executions``: those that are open here, by id."""

    def __init__(
        self, port: Inboxes, index: RunIndex, runs: Mapping[str, Run], executions: Mapping[str, Execution]
    ) -> None:
        self._port = port
        self._index = index
        self._runs = runs
        self._executions = executions
        self.take_up: Callable[[str], Awaitable[str | None]] = _nobody
        """Takes up a run that nobody holds; returns why that cannot be done here. From whoever recovers."""
        self._saying: set[asyncio.Future[Any]] = set()
        """What perhaps nobody awaits."""
        self._draining: dict[str, asyncio.Task[None]] = {}
        """By run: what carries out its commands."""
        self._more: set[str] = set()
        """Runs that were told of further commands meanwhile."""

    # --- commands to others ---

    def say(self, feed: Feed, name: str, given: Given) -> Awaitable[Any]:
        """The same, asked for at once. Raises Backpressure where too many wait for their answers already."""
        if len(self._saying) >= bounds.COMMANDS_OF_RUN:
            sentence = f"run {feed.run_id}: it emits faster than another node takes events; await run.emit(...)"
            raise Backpressure(sentence, run_id=feed.run_id)
        said = asyncio.ensure_future(self.ask(feed, name, given))
        self._saying.add(said)
        said.add_done_callback(self._saying.discard)
        return said

    async def ask(self, feed: Feed, name: str, given: Given) -> Any:
        """Has whoever executes a run carry a command out, and waits until its event is seen here.

        Raises what the command raises there; RunEnded; Unanswered, LogUnavailable.
        """
        run_id, id = feed.run_id, command_id() or secrets.token_hex(16)

        async def free() -> None:
            if (why := await self.take_up(run_id)) is not None:
                await self._port.withdraw(run_id, id)
                raise RunNotHere(f"run {run_id} goes on on no node: {why}", run_id=run_id)

        try:
            packed = await self._port.ask(run_id, id, pack_command(name, given), free)
        except TimeoutError:
            raise Unanswered.of(run_id) from None
        if packed is None:
            status = (await self._index.record(run_id)).status
            raise RunEnded(f"run {run_id} is {status} already", run_id=run_id, status=status)
        answer = unpack_answer(packed)
        if answer.error is not None:
            raise answer.error
        await _see(feed, answer.seq)
        return answer.value

    # --- commands of others ---

    def drain(self, run_id: str) -> None:
        """Carries out the commands that wait for a run that is open here."""
        if run_id not in self._executions:
            return  # who opens it looks for commands then
        self._more.add(run_id)
        if run_id not in self._draining:
            self._draining[run_id] = asyncio.ensure_future(self._drain(run_id))

    async def _drain(self, run_id: str) -> None:
        try:
            while run_id in self._more:
                self._more.discard(run_id)
                await self._carry_out_all(run_id)
        except LogUnavailable as error:  # whoever waits for an answer asks again
            logger.warning("commands of other nodes wait for the log", run_id=run_id, error=str(error))
        except Exception as bug:
            logger.critical("commands of other nodes are not carried out", run_id=run_id, exc_info=bug)
        finally:  # in the same step: a further command begins anew
            self._more.discard(run_id)
            del self._draining[run_id]

    async def _carry_out_all(self, run_id: str) -> None:
        done: set[str] = set()
        while (execution := self._executions.get(run_id)) is not None and not execution.is_closed:
            commands = await self._port.commands(run_id, BATCH)
            new = [command for command in commands if command[0] not in done]
            if not new:
                return
            for id, packed in new:
                if execution.is_closed:
                    return
                done.add(id)
                await self._carry_out(execution, id, packed)
            await execution.journal.committed()

    async def _carry_out(self, execution: Execution, id: str, packed: bytes) -> None:
        if execution.is_sealed:
            return  # its end is on its way, and answers all
        run_id, journal = execution.run_id, execution.journal
        before = journal.last_written
        try:
            name, given = unpack_command(packed)
            value: Any = None
            if name == "emit":
                value = await self._emit(run_id, id, given)
            else:
                value = await COMMANDS[name](execution, given)
        except (ReactorError, ValueError, TypeError) as error:
            self._port.answer_command(run_id, id, pack_answer(journal.feed.last_seq, None, error), None)
            return
        except Exception as bug:
            logger.critical("a command of another node failed", run_id=run_id, exc_info=bug)
            error = ReactorError(f"a bug on the node that executes run {run_id}: {type(bug).__name__}", run_id=run_id)
            self._port.answer_command(run_id, id, pack_answer(journal.feed.last_seq, None, error), None)
            return
        last = journal.last_written
        answer = pack_answer(last, value)
        if last > before:  # in no window yet: what it has written was the last thing that it did
            self._port.answer_command(run_id, id, answer, last)
            return
        await journal.committed()  # what it found there
        if not execution.is_closed:
            self._port.answer_command(run_id, id, answer, None)

    async def _emit(self, run_id: str, id: str, given: Given) -> list[int]:
        events = [(type, task_id, data.encode()) for type, task_id, data in given["events"]]
        key = given["key"]
        if key is None and len(events) > 1:
            key = id  # they may be committed in two windows, and this process be gone between them
        return await self._runs[run_id]._emit_checked(events, key)  # pyright: ignore[reportPrivateUsage]  # no part of a Run that users see


async def _see(feed: Feed, seq: int) -> None:
    """Returns when an event is published here; late, where what is committed comes late."""
    if feed.last_seq >= seq or feed.closed is not None:
        return
    try:
        async with asyncio.timeout(SEEN_SECONDS):
            async for _ in iterate(feed, feed.last_seq):
                if feed.last_seq >= seq:
                    return
    except TimeoutError:
        logger.debug("what a command has written is not seen here yet", run_id=feed.run_id, seq=seq)


async def _nobody(run_id: str) -> str | None:
    return "no engine is open here"
