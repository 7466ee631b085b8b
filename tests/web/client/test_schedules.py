"""Schedules over HTTP, by the clients of Python."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from aiohttp.test_utils import TestServer

import reactor_web
from reactor import Engine, Workflow
from reactor.errors import UnknownSchedule, UnknownWorkflow
from reactor.testing import VirtualClock
from reactor_web.client import Client, SyncClient


def census() -> Workflow:
    flow = Workflow("census")
    flow.task(lambda given=0: given, name="work")
    return flow


async def test_a_client_has_what_the_engine_has() -> None:
    """Made, found, paused, resumed, triggered and removed; each record is that of the engine."""
    engine = Engine("memory://", workflows=[census()], clock=VirtualClock(jumps=False), grace=0.0)
    async with (
        TestServer(reactor_web.create_app(engine), host="127.0.0.1") as server,
        Client(str(server.make_url("/"))) as client,
    ):
        made = await client.schedule("census", "0 7 * * 1-5", tz="Europe/Berlin", input={"given": 7}, name="morning")
        assert [made] == await client.schedules() == await engine.schedules()
        await client.schedule("census", every=timedelta(minutes=5), overlap="allow", catch_up="all")
        assert [one.name for one in await client.schedules()] == ["census", "morning"]
        assert (await client.pause_schedule("morning")).paused == "127.0.0.1"
        assert await client.resume_schedule("morning") == await client.get_schedule("morning") == made
        assert await (await client.trigger_schedule("morning")) == {"work": 7}
        await client.remove_schedule("morning")
        with pytest.raises(UnknownSchedule, match="morning"):
            await client.remove_schedule("morning")
        with pytest.raises(UnknownWorkflow):
            await client.schedule("nothing", every=timedelta(minutes=5))
        with pytest.raises(ValueError, match="1 to 40"):
            await client.schedule("census", every=timedelta(minutes=5), name="a.b")


async def test_the_same_without_await() -> None:
    engine = Engine("memory://", workflows=[census()], clock=VirtualClock(jumps=False), grace=0.0)
    async with TestServer(reactor_web.create_app(engine), host="127.0.0.1") as server:

        def use(url: str) -> object:
            with SyncClient(url) as client:
                made = client.schedule("census", every=timedelta(minutes=5), input={"given": 7})
                assert client.schedules() == [made] == [client.get_schedule("census")]
                return client.trigger_schedule("census").wait()

        assert await asyncio.to_thread(use, str(server.make_url("/"))) == {"work": 7}
