"""``workflow.run(input)``: one run on a loop, an engine and a memory log of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from reactor.definition.workflow import Workflow
from reactor.engine import Engine


def run_once(workflow: Workflow, input: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a workflow to its end and returns its outputs. Raises RuntimeError inside a running loop."""

    async def main() -> dict[str, Any]:
        async with Engine(workflows=[workflow]) as engine:
            return await (await engine.start(workflow, input))

    loop = None
    with suppress(RuntimeError):  # there is none, as it should be
        loop = asyncio.get_running_loop()
    if loop is not None:
        raise RuntimeError(f"{workflow.name}.run() needs its own loop; here: await (await engine.start(...))")
    return asyncio.run(main())
