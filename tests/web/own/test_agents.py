"""``add_agent``: HttpAgent and requests like it start runs, are interrupted, resume, and are told what is wrong."""

from __future__ import annotations

import asyncio
from typing import Any

from reactor import Context, Workflow
from tests.helpers.agui import Agent, judge, serving, user


def asking() -> Workflow:
    """Writes a text, then asks whether to publish it."""
    flow = Workflow("asking")

    @flow.task
    async def write(message: str, ctx: Context) -> str:
        await ctx.chunk(f"About {message}: ")
        async with ctx.llm_call("small") as answer:
            answer.tokens = 12
        await ctx.chunk("nothing.")
        return message

    @flow.task
    async def ask(write: str, ctx: Context) -> bool:
        return await ctx.receive("publish?", schema=bool, key="publish")

    @flow.task
    async def publish(ask: bool) -> str:
        return "published" if ask else "thrown away"

    return flow


def resume(id: str, payload: Any = None, status: str = "resolved") -> dict[str, Any]:
    return {"interruptId": id, "status": status, "payload": payload}


async def test_http_agent_is_interrupted_and_resumes_with_the_answer() -> None:
    """It starts a run, has the text and the interrupt, answers it, and is told the result; its verifier is content."""
    async with serving(asking()) as site, Agent(site.url, "thread-1") as agent:
        first = await agent.run(message=user("m1", "whales"), runId="r1")
        assert (first["error"], first["failed"], first["warnings"]) == (None, None, [])
        assert first["runId"] == "r1"
        assert first["outcome"]["type"] == "interrupt"
        assert first["pending"] == ["ask/publish"]
        assert [message["content"] for message in first["messages"]] == ["whales", "About whales: nothing."]
        assert first["usage"] == [{"model": "small", "totalTokens": 12}]
        assert first["state"]["reactor"]["tasks"]["ask"]["status"] == "waiting"
        second = await agent.run(resume=[resume("ask/publish", True)], runId="r2")
        assert (second["error"], second["failed"], second["warnings"]) == (None, None, [])
        assert (second["runId"], second["result"]) == ("r2", {"publish": "published"})
        assert second["outcome"] == {"type": "success"}
        assert second["state"]["reactor"]["run"]["status"] == "completed"


async def test_the_next_message_of_a_thread_starts_its_next_run() -> None:
    """A conversation goes on after the end of its run, also on a thread whose id cannot be that of a run."""
    flow = Workflow("echo")

    @flow.task
    async def echo(message: str, messages: list[Any], ctx: Context) -> str:
        await ctx.chunk(f"{len(messages)}: {message}")
        return ctx.run_id

    async with serving(flow) as site, Agent(site.url, "a thread/with ümläuts") as agent:
        ids = [(await agent.run(message=user(f"m{n}", f"turn {n}")))["result"]["echo"] for n in range(3)]
        assert ids == [ids[0], f"{ids[0]}~2", f"{ids[0]}~3"]
        assert ids[0].startswith("thread-")
        answers = [message["content"] for message in (await agent.run(message=user("m3", "last")))["messages"]]
        assert answers == ["turn 0", "1: turn 0", "turn 1", "3: turn 1", "turn 2", "5: turn 2", "last", "7: last"]


async def test_questions_of_two_tasks_and_two_of_one_are_one_interrupt() -> None:
    """The interrupt lists them all; a resume must answer all; the answers go to the right ones."""
    flow = Workflow("several")

    @flow.task
    async def left(ctx: Context) -> list[Any]:
        return list(await asyncio.gather(ctx.receive("a?", key="a"), ctx.receive("b?", key="b")))

    @flow.task
    async def right(ctx: Context) -> Any:
        return await ctx.receive("a?", key="a")

    async with serving(flow) as site:
        first = await site.run("t", "r1")
        asked = [interrupt["id"] for interrupt in first[-1]["outcome"]["interrupts"]]
        assert sorted(asked) == ["left/a", "left/b", "right/a"]
        partial = await site.run("t", "r2", resume=[resume("left/a", 1), resume("right/a", 3)])
        assert (partial[-1]["code"], partial[-1]["message"]) == (
            "partial_resume", "these interrupts are open, too, and need an answer: left/b",
        )  # fmt: skip
        answers = [resume("left/a", 1), resume("left/b", 2), resume("right/a", 3)]
        last = await site.run("t", "r3", resume=answers)
        assert last[-1]["result"] == {"left": [1, 2], "right": 3}
        assert (last[0]["threadId"], last[0]["runId"], last[-1]["runId"]) == ("t", "r3", "r3")
        assert (await site.run("t", "r4", resume=answers))[-1]["result"] == {"left": [1, 2], "right": 3}


async def test_the_same_answer_again_is_harmless_and_another_one_is_refused() -> None:
    """While the run goes on and after its end; the value that came first stays."""
    gate = asyncio.Event()
    flow = Workflow("gated")

    @flow.task
    async def ask(ctx: Context) -> Any:
        value = await ctx.receive("n?", schema=int, key="n")
        await gate.wait()
        return value

    async with serving(flow) as site:
        assert (await site.run("t", "r1"))[-1]["outcome"]["type"] == "interrupt"
        body = {"threadId": "t", "messages": [], "resume": [resume("ask/n", 1)]}
        both = [asyncio.ensure_future(site.post({**body, "runId": run})) for run in ("r2", "r3")]
        refused = await site.run("t", "r4", resume=[resume("ask/n", "one")])
        assert refused[-1]["code"] in ("invalid_payload", "interrupt_answered")
        await asyncio.wait_for(_received(site.engine, "t"), 10)
        other = await site.run("t", "r5", resume=[resume("ask/n", 2)])
        assert other[-1]["code"] == "interrupt_answered"
        gate.set()
        for answered, run in zip(await asyncio.gather(*both), ("r2", "r3"), strict=True):
            messages = answered[1]
            assert isinstance(messages, list)
            judge(messages)
            assert (messages[-1]["runId"], messages[-1]["result"]) == (run, {"ask": 1})
        assert (await site.run("t", "r6", resume=[resume("ask/n", 1)]))[-1]["result"] == {"ask": 1}
        assert (await site.run("t", "r7", resume=[resume("ask/n", 2)]))[-1]["code"] == "interrupt_answered"


async def _received(engine: Any, run_id: str) -> None:
    async for event in await engine.get(run_id):
        if event.type == "task.received":
            return


async def test_what_is_wrong_with_an_answer_is_told_and_changes_nothing() -> None:
    """Unknown interrupts, payloads that do not fit, two answers to one question, a thread that is none."""
    async with serving(asking()) as site:
        await site.run("t", "r1", user("m", "whales"))
        before = (await site.engine.get("t")).feed.last_seq
        for answers, code in [
            ([resume("ask/other", True)], "unknown_interrupt"),
            ([resume("ask/publish", True), resume("nobody/x", True)], "unknown_interrupt"),
            ([resume("ask/publish", "perhaps")], "invalid_payload"),
            ([resume("ask/publish", True), resume("ask/publish", False)], "duplicate_interrupt"),
        ]:
            assert (await site.run("t", "r2", resume=answers))[-1]["code"] == code, answers
        assert (await site.run("elsewhere", "r2", resume=[resume("ask/publish", True)]))[-1]["code"] == (
            "unknown_interrupt"
        )
        assert (await site.engine.get("t")).feed.last_seq == before
        assert (await site.run("t", "r3", resume=[resume("ask/publish", False)]))[-1]["result"] == {
            "publish": "thrown away"
        }


async def test_a_cancelled_interrupt_cancels_its_task() -> None:
    """What depends on the task is skipped, the run goes on to its end, and the same request again is harmless."""
    async with serving(asking()) as site:
        await site.run("t", "r1", user("m", "whales"))
        for run in ("r2", "r3"):
            messages = await site.run("t", run, resume=[resume("ask/publish", status="cancelled")])
            tasks = (await site.engine.get("t")).state.tasks
            assert (tasks["ask"].status, tasks["publish"].status) == ("cancelled", "skipped")
            assert (messages[0]["runId"], messages[-1]["type"], messages[-1]["runId"]) == (run, "RUN_FINISHED", run)
            assert messages[-1]["outcome"]["type"] == "success"


async def test_an_expired_question_can_only_be_cancelled() -> None:
    """Its answer is refused; cancelling it is harmless and tells how the run went on."""
    flow = Workflow("expiring")

    @flow.task
    async def ask(ctx: Context) -> str:
        try:
            return await ctx.receive("quick?", key="quick", timeout=0.05)
        except TimeoutError:
            return await ctx.receive("slow?", key="slow")

    async with serving(flow) as site:
        await site.run("t", "r1")
        run = await site.engine.get("t")
        async for event in run:
            if event.type == "task.waiting" and event.data["key"] == "slow":
                break
        refused = await site.run("t", "r2", resume=[resume("ask/quick", "yes"), resume("ask/slow", "yes")])
        assert refused[-1]["code"] == "interrupt_expired"
        answers = [resume("ask/quick", status="cancelled"), resume("ask/slow", "yes")]
        assert (await site.run("t", "r3", resume=answers))[-1]["result"] == {"ask": "yes"}


async def test_a_request_that_brings_nothing_new_joins_and_one_that_does_is_refused() -> None:
    """The same request again, and a page that was loaded anew, have the interrupts; another message has RUN_ERROR."""
    async with serving(asking()) as site:
        await site.run("t", "r1", user("m", "whales"))
        for run, messages in [("r1", [user("m", "whales")]), ("r2", [user("m", "whales")]), ("r3", [])]:
            joined = await site.run("t", run, *messages)
            assert (joined[0]["runId"], joined[-1]["runId"]) == (run, run)
            assert joined[-1]["outcome"]["type"] == "interrupt"
            assert "About whales: " in [message.get("delta") for message in joined]
        assert (await site.run("t", "r4", user("m2", "and dolphins")))[-1]["code"] == "run_open"
        await site.run("t", "r5", resume=[resume("ask/publish", True)])
        assert (await site.run("t", "r1", user("m", "whales")))[-1]["result"] == {"publish": "published"}
        assert len(await site.engine.list()) == 1


async def test_what_a_request_carries_reaches_the_workflow_by_name() -> None:
    """``message``, ``messages``, ``state``, ``tools``, ``context``, ``thread_id``; others from ``forwardedProps``."""
    flow = Workflow("all")

    @flow.task
    async def take(
        message: str, messages: list[Any], state: Any, tools: list[Any], context: list[Any], thread_id: str, city: str
    ) -> list[Any]:
        return [message, len(messages), state, tools, context, thread_id, city]

    async with serving(flow) as site:
        tool = {"name": "search", "description": "looks", "parameters": {}}
        context = {"description": "who", "value": "Ann"}
        messages = await site.run(
            "t", "r1", user("m", "hello"), state={"draft": 1}, tools=[tool], context=[context],
            forwardedProps={"city": "Rome", "unknown": 1, "thread_id": "other"},
        )  # fmt: skip
        assert messages[-1]["result"] == {"take": ["hello", 1, {"draft": 1}, [tool], [context], "t", "Rome"]}
        assert messages[1]["snapshot"]["draft"] == 1
        status, problem = await site.post({"threadId": "t2", "runId": "r1", "messages": []})
        assert (status, problem["title"]) == (422, "Invalid input")
        assert [record.run_id for record in await site.engine.list()] == ["t"]
