"""The smallest workflow: three tasks in a row, slow enough to see their events arrive.

    reactor run examples/hello.py name=Ada

A parameter that is named like a task takes the output of that task; any other parameter is an input of the run.
"""

import asyncio

from reactor import Workflow

flow = Workflow("hello")


@flow.task
async def greet(name: str = "world") -> str:
    await asyncio.sleep(0.3)
    return f"Hello, {name}"


@flow.task
async def cheer(greet: str) -> str:
    await asyncio.sleep(0.3)
    return greet + "!"


@flow.task
async def count(cheer: str) -> dict[str, str | int]:
    await asyncio.sleep(0.3)
    return {"text": cheer, "letters": sum(letter.isalpha() for letter in cheer)}


if __name__ == "__main__":
    print(flow.run({"name": "Ada"}))
