"""A limit holds for all nodes that share a log."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from reactor import Engine, Limit, Workflow
from tests.helpers.redis import redis_server
from tests.helpers.runs import PATIENCE


async def test_a_limit_holds_for_all_nodes_together(tmp_path: Path) -> None:
    """Of bodies on two nodes no more run at once than it allows, and all of them run; each tenant has its own."""
    now, most = {"": 0, "acme": 0}, {"": 0, "acme": 0}
    flow = Workflow("flow")

    flow.task(lambda whose: [whose] * 10, name="items")

    @flow.task(limits="gpu", map="items")
    async def use(items: str) -> int:
        now[items] += 1
        most[items] = max(most[items], now[items])
        await asyncio.sleep(0.005)
        now[items] -= 1
        return 1

    with redis_server(tmp_path) as server:
        options: dict[str, Any] = {"workflows": [flow], "limits": [Limit("gpu", 2)]}
        url = server.url()
        async with Engine(url, **options) as one, Engine(url, **options) as other:
            runs = [await node.start(flow, {"whose": ""}) for node in (one, other)]
            runs += [await node.tenant("acme").start(flow, {"whose": "acme"}) for node in (one, other)]
            outputs = await asyncio.wait_for(asyncio.gather(*runs), PATIENCE)
    assert [output["use"] for output in outputs] == [[1] * 10] * 4
    assert most == {"": 2, "acme": 2}
