"""The run's side of a Context: does on the loop what one attempt says and asks. Implements ``Voice``."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

import orjson

from reactor.definition.policy import Budget
from reactor.errors import ContextClosed
from reactor.ports.speech import Answer, Ask
from reactor.tasks.asking import Asking, Waiting
from reactor.tasks.sampling import JoinedChunks, LatestProgress
from reactor.tasks.scope import Body

T = TypeVar("T")


class TaskVoice:
    """Speaks for one attempt of one body, until it is closed."""

    def __init__(self, body: Body, running: Waiting | None) -> None:
        self._body = body
        self._running = running
        """None for a condition or a cache key, which answer at once."""
        self._scope = body.scope
        self.loop: AbstractEventLoop = body.scope.loop
        self.is_closed = False
        self._progress: LatestProgress | None = None
        self._chunks: JoinedChunks | None = None
        self._asking: Asking | None = None
        self._children = 0
        self._keys: set[str] = set()
        """The names of the child runs this attempt has asked for."""

    @property
    def is_crowded(self) -> bool:
        return self._scope.journal.is_crowded

    # --- saying ---

    def emit(self, type: str, data: bytes) -> Awaitable[None]:
        self._check_open()
        if self._chunks is not None or self._progress is not None:
            self._write_held()
        self._write(type, data)
        return self._scope.journal.wait_for_room()

    def progress(self, data: bytes) -> Awaitable[None]:
        self._check_open()
        if self._progress is None:
            self._progress = LatestProgress(self._scope.clock, self._write_progress)
        self._progress.add(data)
        return self._scope.journal.wait_for_room()

    def chunk(self, text: str) -> Awaitable[None]:
        self._check_open()
        if self._chunks is None:
            self._chunks = JoinedChunks(self._scope.clock, self._write_chunk)
        if self._progress is not None:
            self._progress.give_way()
        self._chunks.add(text)
        return self._scope.journal.wait_for_room()

    def spend(self, cost: str, tokens: int, source: str) -> Awaitable[None]:
        self._check_open()
        self._write_held()
        self._scope.spending.spend(self._body, Decimal(cost), tokens, source)
        return self._scope.journal.wait_for_room()

    def committed(self) -> Awaitable[None]:
        self._check_open()
        self._write_held()
        return self._scope.journal.committed()

    def _write_held(self) -> None:
        """Writes what sampling holds back: it was said before what comes now."""
        if self._chunks is not None:
            self._chunks.now()
        if self._progress is not None:
            self._progress.give_way()

    def _write_progress(self, latest: bytes) -> None:
        if self._chunks is not None:
            self._chunks.now()
        self._write("task.progress", latest)

    def _write(self, type: str, data: bytes) -> None:
        self._body.emit(self._body.draft(type, data))

    def _write_chunk(self, text: str, index: int) -> None:
        self._write("task.chunk", orjson.dumps({"text": text, "index": index}))

    # --- asking ---

    async def receive(self, ask: Ask) -> Answer:
        self._check_open()
        if self._asking is None:
            self._asking = Asking(self._body, self._running, self.emit)
        return await self._asking.receive(ask)

    def withdraw(self, place: int) -> None:
        if self._asking is not None and not self.is_closed:
            self._asking.withdraw(place)

    async def run(
        self, workflow: Any, input: Mapping[str, Any], key: str | None, budget: Budget | None
    ) -> dict[str, Any]:
        self._check_open()
        self._write_held()
        self._children += key is None
        name = str(self._children) if key is None else key
        again = name in self._keys
        self._keys.add(name)
        return await self._park(self._scope.children.run(self._body, workflow, input, name, budget, again=again))

    async def checkpoint(self) -> None:
        self._check_open()
        if self._scope.control.is_paused:
            await self._park(self._scope.control.resumed())

    async def _park(self, answer: Awaitable[T]) -> T:
        return await (answer if self._running is None else self._running.park(answer))

    # --- the engine's side ---

    def close(self) -> None:
        """Ends the attempt: writes what is still held back by sampling, and nothing after that."""
        if not self.is_closed:
            for sampled in (self._chunks, self._progress):
                if sampled is not None:
                    sampled.now()
            self.is_closed = True
            if self._asking is not None:
                self._asking.close()

    def _check_open(self) -> None:
        if self.is_closed:
            run_id, task_id = self._scope.run_id, self._body.task_id
            raise ContextClosed(
                f"task {task_id} of run {run_id}: its attempt has ended, what it says now is not recorded",
                run_id=run_id,
                task_id=task_id,
            )
