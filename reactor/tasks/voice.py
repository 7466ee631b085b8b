"""One attempt's end of a run: what its Context says and asks, done on the loop. Implements ``Voice``."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from reactor.context.forms import problem_of
from reactor.definition.policy import Budget
from reactor.errors import ContextClosed
from reactor.tasks.sampling import JoinedChunks, LatestProgress

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from reactor.tasks.body import TaskActor
    from reactor.tasks.running import Running

T = TypeVar("T")


class TaskVoice:
    """Speaks for one attempt of one body, until it is closed."""

    def __init__(self, actor: TaskActor, running: Running | None) -> None:
        self._actor = actor
        self._running = running
        """None for a condition, which decides at once."""
        self._scope = actor.scope
        self.loop: AbstractEventLoop = actor.scope.loop
        self.is_closed = False
        self._progress: LatestProgress | None = None
        self._chunks: JoinedChunks | None = None
        self._children = 0
        self._keys: set[str] = set()
        """Of the child runs this attempt has asked for."""

    @property
    def is_crowded(self) -> bool:
        return self._scope.is_crowded

    # --- saying ---

    def emit(self, type: str, data: bytes) -> Awaitable[None]:
        self._check_open()
        if self._chunks is not None:
            self._chunks.now()  # what was said before stands before
        self._write(type, data)
        return self._scope.wait_for_room()

    def progress(self, data: bytes) -> Awaitable[None]:
        self._check_open()
        if self._progress is None:
            self._progress = LatestProgress(self.loop, lambda latest: self._write("task.progress", latest))
        self._progress.add(data)
        return self._scope.wait_for_room()

    def chunk(self, text: str) -> Awaitable[None]:
        self._check_open()
        if self._chunks is None:
            self._chunks = JoinedChunks(self.loop, self._write_chunk)
        self._chunks.add(text)
        return self._scope.wait_for_room()

    def spend(self, cost: str, tokens: int, source: str) -> Awaitable[None]:
        self._check_open()
        if self._chunks is not None:
            self._chunks.now()
        self._scope.spend(self._actor, Decimal(cost), tokens, source)
        return self._scope.wait_for_room()

    def committed(self) -> Awaitable[None]:
        self._check_open()
        if self._chunks is not None:
            self._chunks.now()
        return self._scope.committed()

    def _write(self, type: str, data: bytes) -> None:
        self._actor.emit(self._actor.draft(type, data))

    def _write_chunk(self, text: str, index: int) -> None:
        self._write("task.chunk", orjson.dumps({"text": text, "index": index}))

    # --- asking ---

    async def receive(self, prompt: str | None, schema: dict[str, Any] | None, key: str | None) -> Any:
        self._check_open()
        mailbox = self._actor.mailbox
        rejected: list[int] = []
        asked: dict[str, Any] = {"prompt": prompt, "schema": schema, "key": key}
        while (letter := mailbox.take(key)) is not None:
            problem = problem_of(schema, letter.value)
            if problem is None:
                return letter.value
            mailbox.reject(letter)  # sent before anybody knew what it had to look like
            rejected.append(letter.seq)
            asked |= {"rejected": rejected, "problem": problem}
        self.emit("task.waiting", orjson.dumps(asked))
        answer = mailbox.ask(self.loop, key, schema)
        try:
            return (await self._parked(answer)).value
        except BaseException:
            mailbox.put_back(answer)
            raise

    async def run(
        self, workflow: Any, input: Mapping[str, Any], key: str | None, budget: Budget | None
    ) -> dict[str, Any]:
        self._check_open()
        self._children += key is None
        name = str(self._children) if key is None else key
        again = name in self._keys
        self._keys.add(name)
        return await self._parked(self._scope.run_child(self._actor, workflow, input, name, budget, again=again))

    async def checkpoint(self) -> None:
        self._check_open()
        if self._scope.is_paused:
            await self._parked(self._scope.resumed())

    async def _parked(self, answer: Awaitable[T]) -> T:
        return await (answer if self._running is None else self._running.parked(answer))

    # --- the engine's side ---

    def close(self) -> None:
        """The attempt ended: says what still waits to be said, and nothing after it."""
        if not self.is_closed:
            for sampled in (self._chunks, self._progress):
                if sampled is not None:
                    sampled.now()
            self.is_closed = True

    def _check_open(self) -> None:
        if self.is_closed:
            run_id, task_id = self._scope.run_id, self._actor.task_id
            raise ContextClosed(
                f"task {task_id} of run {run_id}: its attempt has ended, what it says now is not recorded",
                run_id=run_id,
                task_id=task_id,
            )
