"""One attempt of a body, outside of a run: what it is given, what it says, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from threading import Lock
from typing import Any, Final

import orjson

from reactor.definition.task import Task
from reactor.errors import ContextClosed
from reactor.ports.attempt import Attempt, Upstream
from reactor.ports.executor import Executor, Job, Work
from reactor.ports.speech import Answer, Ask
from reactor.waiting import READY

PATIENCE: Final = 60.0
"""Seconds after which a test gives up waiting."""


class RecordedVoice:
    """Implements ``Voice``, on the running loop: it records what a body says and leaves its questions open.

    - ``heard``: what was said, in order: ``("emit", type, data)``, ``("progress", fraction)``, ``("chunk", text)``,
      ``("spend", cost, tokens, source)``, ``("receive", prompt)``, ``("checkpoint",)``, ``("committed",)``.
    - ``questions``: what ``ctx.receive`` asked: ``(prompt, future)``; the test sets the future to the value.
    - ``withdrawn``: the places of the questions that a body gave up.
    - ``room``: what the body has to wait for whenever it says something; a future that is not done is a full window.
    - ``is_closed``: once set, everything the body says raises ContextClosed.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_crowded = False
        self.is_closed = False
        self.heard: list[tuple[Any, ...]] = []
        self.questions: list[tuple[str | None, asyncio.Future[Any]]] = []
        self.withdrawn: list[int] = []
        self.room: Awaitable[None] = READY
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Returns once the condition holds, which is checked whenever the body says something. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def types(self) -> list[str]:
        """In order: the type of each event that was emitted, and the method's name for everything else."""
        return [entry[1] if entry[0] == "emit" else entry[0] for entry in self.heard]

    def emit(self, type: str, data: bytes) -> Awaitable[None]:
        return self._hear("emit", type, orjson.loads(data))

    def progress(self, data: bytes) -> Awaitable[None]:
        return self._hear("progress", orjson.loads(data)["fraction"])

    def chunk(self, text: str) -> Awaitable[None]:
        return self._hear("chunk", text)

    def spend(self, cost: str, tokens: int, source: str) -> Awaitable[None]:
        return self._hear("spend", cost, tokens, source)

    def receive(self, ask: Ask) -> Awaitable[Answer]:
        answer = _Answered(loop=self.loop)
        self.questions.append((ask.prompt, answer))
        self._hear("receive", ask.prompt)
        return answer

    def withdraw(self, place: int) -> None:
        self.withdrawn.append(place)
        self._changed.set()

    def run(self, workflow: Any, input: Mapping[str, Any], key: str | None, budget: Any) -> Awaitable[dict[str, Any]]:
        """Always raises NotImplementedError: there is no engine that could start a child run."""
        raise NotImplementedError("a RecordedVoice starts no child runs")

    def checkpoint(self) -> Awaitable[None]:
        return self._hear("checkpoint")

    def committed(self) -> Awaitable[None]:
        return self._hear("committed")

    def _hear(self, *entry: Any) -> Awaitable[None]:
        if self.is_closed:
            raise ContextClosed("task t of run r: its attempt has ended", run_id="r", task_id="t")
        self.heard.append(entry)
        self._changed.set()
        return self.room


class _Answered(asyncio.Future[Any]):
    """Is set to a value, and gives it to the body as an ``Answer``."""

    def set_result(self, result: Any, /) -> None:
        super().set_result(Answer(1, result))


def work_for(function: Callable[..., Any], voice: RecordedVoice | None = None, **arguments: Any) -> Work:
    """Attempt 2 of task ``t`` in run ``r``. With a voice, the body gets a Context as its parameter ``ctx``.

    The resource ``pool`` of the attempt is one that cannot be pickled.
    """
    task: Task[..., Any] = Task(function, {})
    if voice is None:
        return Work(task, arguments, "r", "t")
    upstreams = {"before": Upstream("completed", {"rows": 3}, None, None, None)}
    attempt = Attempt("r", "t", 2, None, {"size": 4}, {"owner": "me"}, upstreams, {"pool": Lock()})
    return Work(task, arguments, "r", "t", "ctx", attempt, voice)


class Submitted:
    """A body that was given to an executor: ``job``, and in ``answers`` each ``(output, error)`` it was answered with.

    Raises AssertionError where ``submit`` itself calls ``done``.
    """

    def __init__(self, executor: Executor, work: Work) -> None:
        self.answers: list[tuple[Any, BaseException | None]] = []
        self._answered = asyncio.Event()
        self.job: Job = executor.submit(work, self._done)
        assert not self.answers, "done was called inside of submit"

    def _done(self, output: Any, error: BaseException | None) -> None:
        self.answers.append((output, error))
        self._answered.set()

    @property
    def has_ended(self) -> bool:
        return bool(self.answers)

    async def outcome(self) -> tuple[Any, BaseException | None]:
        """Waits for the answer: ``(output, error)``. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            await self._answered.wait()
        return self.answers[0]

    async def output(self) -> Any:
        """Waits for the output; raises what the body raised."""
        output, error = await self.outcome()
        if error is not None:
            raise error
        return output

    async def error(self) -> BaseException:
        """Waits for what the body raises; AssertionError where it returns."""
        output, error = await self.outcome()
        assert error is not None, f"the body returned {output!r}"
        return error
