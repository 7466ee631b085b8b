"""What is done to each run from outside, from its start to its end, whatever becomes of the server meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from tests.crash.answers import Answer, Commands
from tests.crash.clients import Followed, Follower
from tests.crash.flows import LIMIT

SAID_TOGETHER, SAID = 3, 10
"""How many events a writer says together in a session, and how often."""

Follow = Callable[[Followed, Callable[[Any], None]], Follower]
NextLife = Callable[[], Awaitable[None]]
"""Waits for the next life of the server; in the last one it returns at once."""


class Story:
    """One run, and what its follower has been shown of it."""

    def __init__(
        self, commands: Commands, run_id: str, follow: Follow, next_life: NextLife, chance: random.Random
    ) -> None:
        self.commands, self.run_id, self.chance = commands, run_id, chance
        self._follow, self._next_life = follow, next_life
        self._seen: list[Any] = []
        self._news = asyncio.Event()
        self._acting: list[asyncio.Task[Any]] = []
        self._asked = set[tuple[str, str, str]]()

    # --- what all stories do ---

    async def start(self, workflow: str, **more: Any) -> None:
        body = {"workflow": workflow, "input": {"tenant": self.commands.tenant}, **more}
        answer = await self.commands.send("PUT", f"/runs/{self.run_id}", body)
        assert answer.status in (200, 201), answer

    async def command(self, name: str, body: Any, key: str = "", run_id: str = "") -> Answer:
        return await self.commands.send("POST", f"/runs/{run_id or self.run_id}/{name}", body, key)

    async def followed(self, of: str = "run", form: str = "", run_id: str = "") -> None:
        """Follows the run to its end."""
        form = form or self.chance.choice(["events", "lines", "socket"])
        what = Followed(of, self.commands.tenant, run_id or self.run_id, form)  # type: ignore[arg-type]
        await self._follow(what, self._see).follow()
        for acting in self._acting:
            await acting

    def _see(self, event: Any) -> None:
        self._seen.append(event)
        self._news.set()

    async def seen(self, count: int) -> None:
        """So many events were shown, or the last."""
        while len(self._seen) < count and not self._has_ended():
            self._news.clear()
            await self._news.wait()

    def _has_ended(self) -> bool:
        ends = ("run.completed", "run.failed", "run.cancelled")
        return bool(self._seen) and self._seen[-1]["type"] in ends and self._seen[-1]["run_id"] == self.run_id

    def meanwhile(self, action: Awaitable[Any]) -> None:
        self._acting.append(asyncio.ensure_future(action))

    async def perhaps_later(self) -> None:
        """Goes on in the next life of the server, or at once."""
        if self.chance.random() < 0.5:
            await self._next_life()

    # --- the stories ---

    async def graph(self) -> None:
        """It is paused and resumed; or cancelled, and tried again as another run."""
        await self.start("graph")
        is_cancelled = self.chance.random() < 0.3
        self.meanwhile(self._cancel("stopped", self.chance.randint(3, 30)) if is_cancelled else self._pause())
        await self.followed()
        if is_cancelled:
            again = f"{self.run_id}-again"
            answer = await self.command("retry", {"run_id": again}, key=f"{self.run_id}:retry")
            if answer.status == 202:
                await self.followed(run_id=again)

    async def _pause(self) -> None:
        await self.seen(self.chance.randint(2, 40))
        await self.command("pause", {"reason": "lunch"})
        await self.perhaps_later()
        await self.command("resume", {"reason": "back"})

    async def _cancel(self, reason: str, after: int) -> None:
        await self.seen(after)
        await self.perhaps_later()
        await self.command("cancel", {"reason": reason, "grace": 1})

    async def commits(self) -> None:
        await self.start("commits")
        await self.followed()

    async def spends(self) -> None:
        """It fails, because it wants more than its budget."""
        await self.start("spends", budget={"cost": LIMIT})
        await self.followed()

    async def processes(self) -> None:
        await self.start("processes")
        await self.followed(form="events")

    async def endless(self) -> None:
        """It ends because somebody cancels it."""
        await self.start("endless")
        self.meanwhile(self._cancel("enough", self.chance.randint(1, 3)))
        await self.followed()

    async def asks(self) -> None:
        """Three runs, one below the other, whose questions are answered at the root, some twice, one perhaps early."""
        await self.start("asks")
        if self.chance.random() < 0.3:
            self._answer(self.run_id, "ask", "first")
        see, self._see = self._see, self._see_question  # type: ignore[method-assign]
        await self.followed("tree", "events")
        self._see = see  # type: ignore[method-assign]

    def _see_question(self, event: Any) -> None:
        Story._see(self, event)
        if event["type"] == "task.waiting":
            self._answer(event["run_id"], event["task_id"], event["data"]["key"])
        elif event["type"] == "child.started" and self.chance.random() < 0.5:
            self.meanwhile(self._watch(event["data"]["child_run"]))

    async def _watch(self, child: str) -> None:
        await self._follow(Followed("run", self.commands.tenant, child, "events"), lambda event: None).follow()

    def _answer(self, run: str, task: str, key: str) -> None:
        """Once for each question; its value names it, so that it can be found."""
        if (run, task, key) in self._asked:
            return
        self._asked.add((run, task, key))
        name = f"{run}:{task}:{key}"
        body = {"task": task, "key": key, "value": f"value of {name}"} | ({"run": run} if run != self.run_id else {})
        for _ in range(self.chance.choice([1, 1, 2])):
            self.meanwhile(self.command("input", body, key=name))

    async def session(self) -> None:
        """A writer says its events in batches, each under its own key; then it closes the session."""
        answer = await self.commands.send("PUT", f"/runs/{self.run_id}", {"session": True})
        assert answer.status in (200, 201), answer
        self.meanwhile(self._write())
        await self.followed()

    async def _write(self) -> None:
        for batch in range(SAID):
            said = [{"type": "crash.said", "data": {"n": batch * SAID_TOGETHER + n}} for n in range(SAID_TOGETHER)]
            await self.command("events", said, key=f"{self.run_id}:{batch}")
            if batch == SAID // 2:
                await self.perhaps_later()
        await self.command("close", {"outputs": {"said": SAID * SAID_TOGETHER}}, key=f"{self.run_id}:close")


WEIGHTS = {"graph": 6, "asks": 4, "commits": 2, "spends": 2, "session": 2, "endless": 2, "processes": 1}
"""How often each story is told."""
