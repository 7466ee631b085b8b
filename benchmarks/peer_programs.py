"""The programs of ``peers``: ``python -m benchmarks.peer_programs SYSTEM SHAPE N`` prints microseconds a task."""

from __future__ import annotations

import asyncio
import operator
import sys
import tempfile
from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter
from typing import Annotated, Any, TypedDict

from benchmarks.shapes import SHAPES, Shape

ROUNDS = 3
Run = Callable[[], Awaitable[None]]


async def timed(run: Run, n: int) -> float:
    """The median of three runs, after one that is not counted."""
    seconds: list[float] = []
    for _ in range(ROUNDS + 1):
        began = perf_counter()
        await run()
        seconds.append(perf_counter() - began)
    return median(seconds[1:]) / n * 1e6


async def langgraph(shape: Shape) -> float:
    from langgraph.graph import END, START, StateGraph

    class State(TypedDict):
        done: Annotated[list[int], operator.add]

    graph = StateGraph(State)
    followed = {upstream for upstreams in shape for upstream in upstreams}
    for i, upstreams in enumerate(shape):
        graph.add_node(f"t{i}", _langgraph_node(i))
        if upstreams:
            graph.add_edge([f"t{upstream}" for upstream in upstreams], f"t{i}")
        else:
            graph.add_edge(START, f"t{i}")
        if i not in followed:
            graph.add_edge(f"t{i}", END)
    compiled = graph.compile()

    async def run() -> None:
        seen = 0
        async for _ in compiled.astream({"done": []}, {"recursion_limit": 100_000}, stream_mode="updates"):
            seen += 1
        assert seen == len(shape), f"{seen} updates"

    return await timed(run, len(shape))


def _langgraph_node(i: int) -> Callable[[Any], Awaitable[dict[str, list[int]]]]:
    async def node(state: Any) -> dict[str, list[int]]:
        return {"done": [i]}

    return node


async def llamaindex(shape: Shape) -> float:
    """One step takes the events of all tasks; it sends those of the tasks that became ready, as the documentation's
    fan-out does, and counts upstreams in the workflow itself."""
    from workflows import Context, Workflow, step
    from workflows.events import Event, StartEvent, StopEvent

    dependents: list[list[int]] = [[] for _ in shape]
    for i, upstreams in enumerate(shape):
        for upstream in upstreams:
            dependents[upstream].append(i)

    class Ready(Event):
        index: int

    class Done(Event):
        index: int

    class Graph(Workflow):
        @step
        async def begin(self, ctx: Context, event: StartEvent) -> Ready | None:
            self.waiting = [len(upstreams) for upstreams in shape]
            self.left = len(shape)
            for i, upstreams in enumerate(shape):
                if not upstreams:
                    ctx.send_event(Ready(index=i))
            return None

        @step(num_workers=100)
        async def task(self, ctx: Context, event: Ready) -> Done:
            ctx.write_event_to_stream(Done(index=event.index))
            return Done(index=event.index)

        @step
        async def go_on(self, ctx: Context, event: Done) -> Ready | StopEvent | None:
            self.left -= 1
            for dependent in dependents[event.index]:
                self.waiting[dependent] -= 1
                if not self.waiting[dependent]:
                    ctx.send_event(Ready(index=dependent))
            return None if self.left else StopEvent(result="done")

    flow = Graph(timeout=300)

    async def run() -> None:
        handler = flow.run()
        async for _ in handler.stream_events():
            pass
        await handler

    return await timed(run, len(shape))


async def dask(shape: Shape) -> float:
    from distributed import Client, LocalCluster

    async with (
        LocalCluster(1, threads_per_worker=1, processes=False, dashboard_address=None, asynchronous=True) as cluster,
        Client(cluster, asynchronous=True) as client,
    ):

        async def run() -> None:
            futures: list[Any] = []
            for upstreams in shape:
                futures.append(client.submit(_nothing, *(futures[i] for i in upstreams), pure=False))
            await client.gather(futures)

        return await timed(run, len(shape))


def _nothing(*upstreams: Any) -> None:
    """A task."""


async def dbos(shape: Shape) -> float:
    from dbos import DBOS

    with tempfile.TemporaryDirectory() as folder:
        DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{folder}/dbos.sqlite", "log_level": "ERROR"})

        @DBOS.step()
        async def nothing(i: int) -> None:
            """A task."""

        @DBOS.workflow()
        async def graph() -> None:
            tasks: list[asyncio.Task[None]] = []

            async def one(i: int, upstreams: list[int]) -> None:
                for upstream in upstreams:
                    await tasks[upstream]
                await nothing(i)

            for i, upstreams in enumerate(shape):
                tasks.append(asyncio.create_task(one(i, upstreams)))
            await asyncio.gather(*tasks)

        DBOS.launch()
        try:
            return await timed(graph, len(shape))
        finally:
            DBOS.destroy()


def main() -> None:
    system, shape, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
    answer, sys.stdout = sys.stdout, sys.stderr  # the systems print to stdout too
    us = asyncio.run(globals()[system](SHAPES[shape](n)))
    print(us, file=answer, flush=True)


if __name__ == "__main__":
    main()
