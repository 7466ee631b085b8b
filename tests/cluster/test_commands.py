"""Commands from any node to any run: carried out by whoever executes it, once, and answered where they were asked."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from reactor import Engine, Run, bounds
from reactor.errors import (
    InvalidValue,
    KeyReused,
    RunCancelled,
    RunEnded,
    RunFailed,
    TaskEnded,
    Unanswered,
    UnknownTask,
    WrongQuestion,
)
from reactor.runs.commands import one_command
from reactor.testing import read_all
from tests.helpers.nodes import FLOWS, Node, began
from tests.helpers.redis import RedisServer
from tests.helpers.runs import full_log, result, wait_for_event, wait_until
from tests.helpers.server import Serve

FOR_EVER = 3600.0
"""A lease that no test waits for."""


@asynccontextmanager
async def two(server: RedisServer) -> AsyncIterator[tuple[Engine, Engine]]:
    url = server.url(lease=FOR_EVER)
    async with Engine(url, workflows=FLOWS, grace=0) as one, Engine(url, workflows=FLOWS, grace=0) as other:
        yield one, other


async def types(engine: Engine, run: Run) -> list[str]:
    return [event.type for event in await read_all(engine.log, run.id)]


async def test_a_run_is_controlled_from_another_node(server: RedisServer, folder: Path) -> None:
    """Each command has done what it does when it returns, and is seen at once by who gave it."""
    async with two(server) as (one, other):
        await one.start("asking", run_id="r")
        run = await other.get("r")
        await wait_for_event(run, "task.waiting")
        await run.pause(reason="lunch", by="ann")
        assert (run.status, run.state.reason) == ("paused", "lunch")
        await run.pause()
        await run.resume()
        assert run.status == "running"
        await run.send("ask", "hello", by="bob")
        assert await result(run) == {"last": "hello"}
        events = await full_log(other, run)
        assert [e.data["by"] for e in events if e.type in ("run.paused", "task.received")] == ["ann", "bob"]
        assert [e.type for e in events].count("run.paused") == 1

        await one.start("asking", run_id="c")
        await other.cancel("c", reason="enough", by="ann")
        with pytest.raises(RunCancelled, match="enough"):
            await result(await other.get("c"))

        await one.start("asking", run_id="t")
        await other.cancel("t", task="ask")
        run = await other.get("t")
        await run.ended()
        assert run.state.tasks["ask"].status == "cancelled"


async def test_what_is_wrong_is_said_where_it_was_asked(server: RedisServer, folder: Path) -> None:
    """By the error that the node of the run would raise, with its attributes; and then nothing is in the log of it."""
    async with two(server) as (one, other):
        await one.start("asking", run_id="r")
        run = await other.get("r")
        await wait_for_event(run, "task.waiting")
        before = run.state.seq
        with pytest.raises(InvalidValue, match="does not fit") as wrong:
            await run.send("ask", 7)
        assert (wrong.value.run_id, wrong.value.task_id) == ("r", "ask")
        choice = await one.start("choosing", run_id="c")
        await wait_for_event(choice, "task.waiting", count=2)
        for handle in (choice, await other.get("c")):
            with pytest.raises(WrongQuestion, match="questions are open") as misdirected:
                await handle.send("choose", "x")
            assert sorted(misdirected.value.keys) == ["left", "right"]
        with pytest.raises(UnknownTask, match="nobody"):
            await run.send("nobody", "x")
        with pytest.raises(UnknownTask, match="nobody"):
            await run.emit("a.b", {}, task="nobody")
        assert run.state.seq == before
        await run.emit("a.b", {"n": 1}, key="k")
        with pytest.raises(KeyReused):
            await run.emit("a.b", {"n": 2}, key="k")
        await run.send("ask", "done")
        await result(run)
        for command in (run.pause, lambda: run.send("ask", "x"), lambda: run.emit("a.b", {})):
            with pytest.raises(RunEnded) as ended:
                await command()
            assert ended.value.status == "completed"


async def test_a_command_that_comes_with_the_end_is_told_of_it(server: RedisServer, folder: Path) -> None:
    """However close the two are: it is in the log before the end, or RunEnded is raised. Nobody waits in vain."""
    async with two(server) as (one, other):
        for number in range(15):
            await one.start("asking", run_id=f"r{number}")
            run = await other.get(f"r{number}")
            await wait_for_event(run, "task.waiting")
            asked = [run.emit("said.thing", {"i": i}) for i in range(5)]
            asked += [run.send("ask", "done")]
            asked += [run.emit("said.thing", {"i": i}) for i in range(5, 10)]
            answers = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 5)
            assert answers[:5] == [[2 + 2 + i] for i in range(5)]
            log = await full_log(other, run)
            assert [event.seq for event in log if event.type == "task.received"] == [answers[5]]
            said = [e.data["i"] for e in log if e.type == "said.thing"]
            done = [i for i, answer in enumerate(answers[:5] + answers[6:]) if not isinstance(answer, Exception)]
            assert said == done
            assert all(isinstance(answer, (RunEnded, TaskEnded, list)) for answer in answers[:5] + answers[6:])


async def test_a_session_is_written_from_every_node(server: RedisServer, folder: Path) -> None:
    """What is said on several nodes is in the log once, in the order of each of them; spending counts; and another node
    than the one that holds it closes it."""
    async with two(server) as (one, other):
        sessions = [await one.session("s"), await other.session("s")]

        async def talk(number: int) -> None:
            for i in range(30):
                await sessions[number].emit("said.thing", {"who": number, "i": i})

        await asyncio.gather(talk(0), talk(1))
        pending = [sessions[1].emit("said.thing", {"who": 2, "i": i}) for i in range(50)]
        await asyncio.gather(*pending)
        seqs = await sessions[1].emit_all(
            [{"type": "said.thing", "data": {"who": 3, "i": i}} for i in range(5)], key="k"
        )
        again = await sessions[1].emit_all(
            [{"type": "said.thing", "data": {"who": 3, "i": i}} for i in range(5)], key="k"
        )
        assert seqs == again == list(range(seqs[0], seqs[0] + 5))
        await sessions[1].spend(cost="0.25", tokens=3)
        await sessions[1].log.info("nearly done")
        assert sessions[1].state.tokens == 3
        await sessions[1].close("failed", error="no more")
        for session in sessions:
            with pytest.raises(RunFailed, match="no more"):
                await result(session)
        said = [(e.data["who"], e.data["i"]) for e in await full_log(one, sessions[0]) if e.type == "said.thing"]
        for who, count in ((0, 30), (1, 30), (2, 50), (3, 5)):
            assert [i for speaker, i in said if speaker == who] == list(range(count))


async def test_a_run_that_nobody_holds_is_taken_up_by_who_is_asked(server: RedisServer, folder: Path) -> None:
    """Its node is gone. The node that is asked goes on with it, for a command as for what is said in a session."""
    url = server.url(lease=FOR_EVER)
    async with Engine(url, workflows=FLOWS, grace=0) as one:
        run = await one.start("asking", run_id="r")
        await wait_for_event(run, "task.waiting")
        await run.pause()
        await one.session("s")
    async with Engine(url, workflows=FLOWS, grace=0) as other:
        run = await other.get("r")
        assert run.status == "paused"
        await run.resume()
        await run.send("ask", "on")
        assert await result(run) == {"last": "on"}
        session = await other.session("s")
        await session.emit("said.thing", {})
        await session.close()


async def test_a_command_is_carried_out_once_whoever_holds_the_run(
    server: RedisServer, folder: Path, nodes: list[Node]
) -> None:
    """Asked for while the node of the run stands still, which is killed then: the next one carries it out, and who has
    asked is answered."""
    url = server.url(lease=1)
    async with Engine(url, workflows=FLOWS) as other:
        nodes.append(node := await Node(folder, url, "asking:r").ready())
        run = await other.get("r")
        await wait_for_event(run, "task.waiting")
        node.send(signal.SIGSTOP)
        asked = [asyncio.ensure_future(run.emit("said.thing", {"i": i})) for i in range(3)]
        asked.append(asyncio.ensure_future(run.send("ask", "hello")))
        await asyncio.sleep(0)
        node.send(signal.SIGKILL)
        await asyncio.gather(*asked)
        assert await result(run) == {"last": "hello"}
        events = await full_log(other, run)
        assert [e.data["i"] for e in events if e.type == "said.thing"] == [0, 1, 2]
        assert [e.type for e in events].count("task.received") == 1
        assert len(began(folder)) == 1


async def test_no_answer_is_told_and_the_same_command_again_does_it_once(
    server: RedisServer, folder: Path, nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node of the run does not answer in time: nobody knows what became of it. Asked again under the same key, also
    from a third node, it is answered as it was carried out, once."""
    monkeypatch.setattr(bounds, "COMMAND_SECONDS", 0.3)
    url = server.url(lease=FOR_EVER)
    async with Engine(url, workflows=FLOWS) as other, Engine(url, workflows=FLOWS) as third:
        nodes.append(node := await Node(folder, url, "asking:r").ready())
        run = await other.get("r")
        await wait_for_event(run, "task.waiting")
        node.send(signal.SIGSTOP)
        with one_command("key"), pytest.raises(Unanswered, match="repeat it with the same Idempotency-Key"):
            await run.send("ask", "hello")
        monkeypatch.setattr(bounds, "COMMAND_SECONDS", 10.0)
        elsewhere = await third.get("r")
        with one_command("key"):
            asked = asyncio.ensure_future(elsewhere.send("ask", "hello"))
        await asyncio.sleep(0)
        node.send(signal.SIGCONT)
        await asked
        with one_command("key"):
            await run.send("ask", "hello")
        assert await result(run) == {"last": "hello"}
        with one_command("key"):  # also after the end
            await run.send("ask", "hello")
        with one_command("another"), pytest.raises(RunEnded):
            await run.send("ask", "hello")
        assert (await types(other, run)).count("task.received") == 1


async def test_nothing_of_commands_is_left_behind(server: RedisServer, folder: Path) -> None:
    """Once they are answered, or the run has ended, its inbox is gone; answers go by themselves."""
    url = server.url("left", lease=FOR_EVER)
    async with Engine(url, workflows=FLOWS) as one, Engine(url, workflows=FLOWS) as other:
        await one.start("asking", run_id="r")
        run = await other.get("r")
        await wait_for_event(run, "task.waiting")
        await run.emit("said.thing", {})
        assert server.say("HLEN", "left::r:inbox.waiting").startswith(":0")
        assert server.say("XLEN", "left::r:inbox").startswith(":0")
        await run.send("ask", "x")
        await result(run)
        await wait_until(lambda: one.open_runs == 0)
        assert server.say("EXISTS", "left::r:inbox", "left::r:inbox.waiting").startswith(":0")
        keys = server.say("KEYS", "left::r:told.*").split("\r\n")
        told = [key for key in keys if key.startswith("left::r:told.")]
        assert len(told) == 2
        assert all(0 < int(server.say("TTL", key).lstrip(":")) <= 600 for key in told)


async def test_over_http_the_same_key_does_it_once(
    server: RedisServer, folder: Path, nodes: list[Node], monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    """503 says that nobody knows; the same request again, once the node of the run goes on, is 202, and the answer is
    in the log once. With another value under the key it is refused."""
    monkeypatch.setattr(bounds, "COMMAND_SECONDS", 0.3)
    url = server.url(lease=FOR_EVER)
    other = Engine(url, workflows=FLOWS, grace=0)
    http = await serve(other)
    nodes.append(node := await Node(folder, url, "asking:r").ready())
    run = await other.get("r")
    await wait_for_event(run, "task.waiting")
    node.send(signal.SIGSTOP)
    path, headers = "/runs/r/input", {"Idempotency-Key": "k"}
    refused = await http.session.post(http.url + path, json={"task": "ask", "value": "hello"}, headers=headers)
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    problem = await refused.json()
    assert (problem["error"], problem["code"]) == ("Unanswered", "unanswered")
    assert "repeat it with the same Idempotency-Key" in problem["detail"]
    monkeypatch.setattr(bounds, "COMMAND_SECONDS", 10.0)
    node.send(signal.SIGCONT)
    await wait_for_event(run, "task.received")  # it waited in the inbox
    for _ in range(2):
        done = await http.session.post(http.url + path, json={"task": "ask", "value": "hello"}, headers=headers)
        assert done.status == 202, await done.text()
    assert (await http.session.post(http.url + path, json={"task": "ask", "value": "x"}, headers=headers)).status == 422
    assert await result(run) == {"last": "hello"}
    assert (await types(other, run)).count("task.received") == 1
