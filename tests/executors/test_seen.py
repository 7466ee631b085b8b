"""What a body in a process is sent: its arguments. What its Context shows of the run crosses when the body looks."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from reactor import Context, Engine, RunCancelled, RunFailed, Workflow
from reactor.executors.processes import spawned
from reactor.executors.processes.messages import PipeMessage, pack_message

ITEM = 2_000
"""Characters of an item of a map."""

flow = Workflow("seen")


@flow.task
def items(count: int) -> list[str]:
    return [f"{i:08}" * (ITEM // 8) for i in range(count)]


@flow.task(map={"item": "items"}, executor="process")
def length(item: str, ctx: Context) -> int:
    return len(item) + ctx.attempt - 1


@flow.task(map={"of": "length"}, executor="process")
def paired(of: int, ctx: Context) -> int:
    return of + (ctx.map_index or 0)


looks = Workflow("looks")


@looks.task
def source(text: str) -> list[str]:
    return [text, text]


@looks.task(map={"item": "source"}, executor="process")
def same(item: str, ctx: Context) -> Any:
    upstreams = ctx.upstreams
    assert ctx.upstreams["source"] is upstreams["source"]
    with pytest.raises(AttributeError, match="ctx has no 'inputs', did you mean 'input'"):
        ctx.inputs  # type: ignore[attr-defined]
    with pytest.raises(KeyError):
        upstreams["nothing"]
    seen = upstreams["source"]
    return [list(upstreams), len(upstreams), "source" in upstreams, seen.status, seen.output, ctx.input, upstreams]


@looks.task(map={"of": "same"}, executor="process")
async def of_its_pair(of: Any, ctx: Context) -> bool:
    return ctx.upstreams["same"].output == of and ctx.input["text"] == of[-2]["text"]


unsent = Workflow("unsent")


@unsent.task
def opened(text: str) -> Any:
    return (threading.Lock(), text)


@unsent.task(after=["opened"], executor="process")
def not_looking(ctx: Context) -> str:
    return ctx.input["text"]


@unsent.task(after=["opened"], executor="process")
def looking(ctx: Context) -> Any:
    return ctx.upstreams["opened"].output


cancelled = Workflow("cancelled")


@cancelled.task(executor="process")
def cleans_up(text: str, ctx: Context) -> None:
    try:
        ctx.emit("demo.began")
        time.sleep(60)
    finally:
        assert ctx.cancelled
        Path(ctx.meta["file"]).write_text(ctx.input["text"])


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[Engine]:
    async with Engine(workflows=[flow, looks, unsent, cancelled]) as engine:
        yield engine


async def test_what_a_child_is_sent_does_not_grow_with_the_map(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a Context, of a map and of a map over that: ten times the children are sent ten times the bytes."""
    sent: list[int] = []

    def counted(message: PipeMessage) -> bytes:
        packed = pack_message(message)
        sent.append(len(packed))
        return packed

    monkeypatch.setattr(spawned, "pack_message", counted)
    longest: dict[int, int] = {}
    for count in (4, 40):
        sent.clear()
        assert await (await engine.start(flow, {"count": count})) == {"paired": [ITEM + i for i in range(count)]}
        assert len(sent) == 2 * count  # one message a body
        longest[count] = max(sent)
    assert longest[4] > ITEM  # its own item is sent
    assert abs(longest[40] - longest[4]) < 16  # an index is a byte longer


async def test_a_body_sees_its_upstreams_and_its_input_when_it_looks(engine: Engine) -> None:
    """As a mapping that cannot tell it from one that was there before, also as an output, and of its pair in a map."""
    text = "é" * 100_000
    run = await engine.start(looks, {"text": text})
    assert await run == {"of_its_pair": [True, True]}
    shown = [["source"], 1, True, "completed", [text, text], {"text": text}]
    upstreams = {"source": ["completed", [text, text], None, None, None]}
    assert orjson.loads(await run.output("same[0]")) == [*shown, upstreams]


async def test_only_who_looks_at_what_cannot_be_sent_fails(engine: Engine) -> None:
    """A TypeError in the body names the upstream. A body that does not look at it runs."""
    with pytest.raises(RunFailed) as failed:
        await (await engine.start(unsent, {"text": "here"}))
    errors = failed.value.errors
    assert list(errors) == ["looking"]
    said = "ctx.upstreams['opened'] of task looking cannot be sent to a process"
    assert errors["looking"]["type"] == "TypeError"
    assert errors["looking"]["message"].startswith(said)


async def test_a_body_that_cleans_up_may_look(engine: Engine, tmp_path: Path) -> None:
    """A cancel does not take the input from a body that has not looked at it before."""
    file = tmp_path / "cleaned"
    run = await engine.start(cancelled, {"text": "all of it"}, meta={"file": str(file)})
    async for event in run:
        if event.type == "demo.began":
            break
    await run.cancel(grace=30)
    with pytest.raises(RunCancelled):
        await run
    assert file.read_text() == "all of it"
