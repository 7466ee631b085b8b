"""What is asked of each run. Each is followed on several nodes to its end, which all of its followers are to see."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.histories.clients import Commands, Follower, OnEvent, World
from benchmarks.histories.faults import NODES

FOLLOWERS = 2
"""Of each run, beside those of all runs and those in the processes. They begin at different nodes."""
SAID = 3
"""Events that each client emits before a question is answered, or in a session."""


class Story:
    """One run, and its child runs."""

    def __init__(self, world: World, run_id: str) -> None:
        self._world, self._run_id = world, run_id
        self._at = world.chance.randrange(NODES)
        self._commands = Commands(world, "teller")
        self._answered = dict[str, asyncio.Future[None]]()
        self._below = list[asyncio.Future[None]]()
        self.followers: list[Follower] = []

    async def mapped(self) -> None:
        await self._tell("mapped")

    async def asks(self) -> None:
        await self._tell("asks")

    async def family(self) -> None:
        await self._tell("family")

    async def session(self) -> None:
        """Two clients say something at the same time, each one thing after the other; then it is closed."""
        following = asyncio.gather(*(self._follow(self._run_id, number) for number in range(FOLLOWERS)))
        await self._commands.start(self._run_id, {"session": True}, "session")
        await self._say(self._run_id)
        await self._commands.close(self._run_id)
        await following

    async def _tell(self, workflow: str) -> None:
        looks = (self._look if number == 0 else None for number in range(FOLLOWERS))
        following = [self._follow(self._run_id, number, on_event) for number, on_event in enumerate(looks)]
        await asyncio.gather(
            self._commands.start(self._run_id, {"workflow": workflow, "input": {}}, workflow), *following
        )
        while self._below:
            await self._below.pop()
        await asyncio.gather(*self._answered.values())

    def _look(self, event: Any) -> None:
        """Does what the run waits for. A child is told of before it is in the log."""
        run_id = event["run_id"]
        if event["type"] == "child.started":
            self._below.append(asyncio.ensure_future(self._follow(event["data"]["child_run"], 1, self._look)))
        elif event["type"] == "task.waiting" and run_id not in self._answered:
            self._answered[run_id] = asyncio.ensure_future(self._answer(run_id, event["task_id"]))

    async def _answer(self, run_id: str, task: str) -> None:
        await self._say(run_id)
        await Commands(self._world, "who answers").answer(run_id, task, f"answer to {run_id}")

    async def _say(self, run_id: str) -> None:
        async def speak(who: str) -> None:
            commands = Commands(self._world, who)
            for number in range(SAID):
                await commands.emit(run_id, f"{who} {number}")

        await asyncio.gather(speak("ann"), speak("bob"))

    async def _follow(self, run_id: str, number: int, on_event: OnEvent | None = None) -> None:
        follower = Follower(self._world, f"follower {number}", run_id, self._at + number, on_event)
        self.followers.append(follower)
        await follower.follow()


STORIES: dict[str, Callable[[Story], Awaitable[None]]] = {
    "mapped": Story.mapped,
    "asks": Story.asks,
    "family": Story.family,
    "session": Story.session,
}
