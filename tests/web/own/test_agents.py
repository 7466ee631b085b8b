"""``add_agent``: HttpAgent and requests like it start runs, are interrupted, resume, and are told what is wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ag_ui_validate.transport import TransportOptions, validate_endpoint
from aiohttp import web

from reactor import Context, Engine, Workflow
from reactor_web import AgentInput, Problem, Start, add_agent
from reactor_web.streaming.streams import STREAMS
from tests.helpers.agui import PATH, Agent, judge, messages_in, serving, user
from tests.helpers.runs import wait_until


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


async def test_the_state_of_the_application_goes_from_turn_to_turn() -> None:
    """What a body makes of it reaches the client, comes back with the next message, and is given to the next run."""
    flow = Workflow("counting")

    @flow.task
    async def count(state: dict[str, Any], ctx: Context) -> list[str]:
        total = state.get("count", 0) + 1
        await ctx.emit("STATE_DELTA", {"delta": [{"op": "add", "path": "/count", "value": total}]})
        return sorted(state)

    async with serving(flow) as site, Agent(site.url, "t") as agent:
        for turn in range(1, 4):
            shown = await agent.run(message=user(f"m{turn}", "more"))
            assert (shown["error"], shown["warnings"], shown["state"]["count"]) == (None, [], turn)
            assert shown["result"] == {"count": ["count"] if turn > 1 else []}, "without our part of the state"


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


async def test_a_client_that_comes_back_has_each_text_and_each_call_once() -> None:
    """It joins while it has a part of a text, and a call whose result is there; both are whole and single then."""
    gate = asyncio.Event()
    flow = Workflow("cut")

    @flow.task
    async def work(ctx: Context) -> None:
        async with ctx.tool_call("search", {"q": "x"}) as found:
            found.result = "y"
        await ctx.chunk("one ")
        await ctx.committed()
        await gate.wait()
        await ctx.chunk("two")

    async with serving(flow) as site:
        body = {"threadId": "t", "runId": "r1", "messages": []}
        async with Agent(site.url, "t") as agent:
            await agent.begin(tell="TEXT_MESSAGE_CONTENT", runId="r1")
            await agent.next()
            before = asyncio.ensure_future(agent.ended())
            partly = {"id": "t/work#1", "role": "assistant", "content": "on"}
            call = {"id": "t/work#1/1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
            calling = {"id": "c", "role": "assistant", "toolCalls": [call]}
            result = {"id": "t/work#1/1/result", "role": "tool", "toolCallId": "t/work#1/1", "content": "y"}
            with_result = asyncio.ensure_future(site.post({**body, "messages": [partly, calling, result]}))
            without = asyncio.ensure_future(site.post({**body, "messages": [calling]}))
            await wait_until(lambda: len(site.app[STREAMS]) == 3)
            gate.set()
            assert [message["content"] for message in (await before)["messages"] if "content" in message] == [
                "y", "one two",
            ]  # fmt: skip
            for joining, text, calls in [
                (with_result, ["e ", "two"], []),
                (without, ["one ", "two"], ["TOOL_CALL_START", "TOOL_CALL_END", "TOOL_CALL_RESULT"]),
            ]:
                status, messages = await joining
                assert (status, isinstance(messages, list)) == (200, True)
                judge(messages)
                assert [m["delta"] for m in messages if m["type"] == "TEXT_MESSAGE_CONTENT"] == text
                assert [m["type"] for m in messages if m["type"].startswith("TOOL_CALL")] == calls


async def test_requests_at_once_start_one_run() -> None:
    """The same request twice is one run; of two different ones on a thread one is told that the run is open."""
    gate = asyncio.Event()
    flow = Workflow("slow")

    @flow.task
    async def wait(message: str) -> str:
        await gate.wait()
        return message

    async with serving(flow) as site:
        requests = [("r1", "m1"), ("r1", "m1"), ("r2", "m2")]
        body = {"threadId": "t"}
        posts = [
            asyncio.ensure_future(site.post({**body, "runId": run, "messages": [user(id, id)]})) for run, id in requests
        ]
        done, _ = await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
        assert [one.result()[1][-1]["code"] for one in done] == ["run_open"]
        gate.set()
        ends = [(await post)[1][-1] for post in posts]
        assert sorted(end["type"] for end in ends) == ["RUN_ERROR", "RUN_FINISHED", "RUN_FINISHED"]
        assert len(await site.engine.list()) == 1


async def test_a_client_that_leaves_cancels_nothing() -> None:
    """The run goes on to its end, and the next request of the thread finds it there."""
    gate = asyncio.Event()
    flow = Workflow("left")

    @flow.task
    async def wait() -> str:
        await gate.wait()
        return "done"

    async with serving(flow) as site:
        body = {"threadId": "t", "runId": "r1", "messages": []}
        async with site.session.post(site.url, json=body) as response:
            await response.content.readany()
        await wait_until(lambda: len(site.app[STREAMS]) == 0)
        gate.set()
        assert (await site.run("t", "r1"))[-1]["result"] == {"wait": "done"}


async def test_clients_of_all_kinds_share_one_fold() -> None:
    """Requests that join and a GET of the dialect have one channel; each request has its own ids."""
    gate = asyncio.Event()
    flow = Workflow("shared")

    @flow.task
    async def wait(ctx: Context) -> None:
        await ctx.chunk("begun")
        await gate.wait()

    async with serving(flow) as site:
        body = {"threadId": "t", "messages": []}
        posts = [asyncio.ensure_future(site.post({**body, "runId": f"r{n}"})) for n in range(3)]
        await wait_until(lambda: len(site.app[STREAMS]) == 3)
        url = f"{site.base}/api/v1/runs/t/events?dialect=ag-ui"
        async with site.session.get(url) as response:
            await wait_until(lambda: sum(len(channel.clients) for channel in site.app[STREAMS].channels) == 4)
            assert len(list(site.app[STREAMS].channels)) == 1
            gate.set()
            shared = messages_in(await response.read())
        assert (shared[0]["runId"], shared[-1]["runId"]) == ("t.1", "t.1")
        for n, post in enumerate(posts):
            _, messages = await post
            assert isinstance(messages, list)
            assert [(m["threadId"], m["runId"]) for m in messages if "runId" in m] == [("t", f"r{n}")] * 2
            assert [m["type"] for m in messages] == [m["type"] for m in shared]


async def test_the_validator_takes_the_endpoint_itself() -> None:
    """``ag-ui-validate URL``: framing, headers and order of a live stream, with nothing to say against any of it."""
    flow = Workflow("talk")

    @flow.task
    async def answer(message: str, ctx: Context) -> str:
        for word in message.split():
            await ctx.chunk(word + " ")
            await ctx.committed()
        return message

    async with serving(flow) as site:
        found = await validate_endpoint(site.url, TransportOptions())
        assert (found.status, found.content_type) == (200, "text/event-stream")
        assert [str(one) for one in found.report.diagnostics if one.severity != "info"] == []
        assert found.event_count > 5


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"{", {}, 400, "the body is not JSON"),
        (b"[]", {}, 422, "the body must be a JSON object, not a list"),
        (b'{"runId": "r", "messages": []}', {}, 422, "threadId must be text of 1 to 256 characters"),
        (b'{"threadId": "t", "runId": 1, "messages": []}', {}, 422, "runId must be text"),
        (b'{"threadId": "t", "runId": "r"}', {}, 422, "messages must be a list, not null"),
        (b'{"threadId": "t", "runId": "r", "messages": [1]}', {}, 422, "messages[0] must be a JSON object"),
        (b'{"threadId": "t", "runId": "r", "messages": [], "resume": [{}]}', {}, 422, "resume[0].interruptId"),
        (
            b'{"threadId": "t", "runId": "r", "messages": [], "resume": [{"interruptId": "a", "status": "no"}]}',
            {}, 422, "resume[0].status must be resolved or cancelled, not 'no'",
        ),
        (b"{}", {"Content-Type": "text/plain"}, 415, "send Content-Type: application/json"),
        (b"{}", {"Host": "evil.example"}, 403, "does not accept the host name 'evil.example'"),
    ],
)  # fmt: skip
async def test_a_bad_request_has_a_status_and_starts_nothing(
    body: bytes, headers: dict[str, str], status: int, says: str
) -> None:
    """One sentence in a problem document; also for what a page of another site could send."""
    async with serving(asking()) as site:
        sent = {"Content-Type": "application/json", **headers}
        async with site.session.post(site.url, data=body, headers=sent) as response:
            problem = await response.json()
            assert (response.status, response.content_type) == (status, "application/problem+json")
            assert says in problem["detail"]
        assert await site.engine.list() == []


async def test_a_function_says_what_a_request_starts() -> None:
    """It has the request and the input; what it returns is started under the id of the thread, with its meta."""
    flow = Workflow("chosen")

    @flow.task
    async def echo(text: str) -> str:
        return text

    async def begin(request: web.Request, given: AgentInput) -> Start:
        if given.message is None:
            raise Problem(422, "say something")
        return Start(flow, {"text": given.message.upper()}, run_id="ignored", meta={"from": request.path})

    async with serving(begin) as site:
        parts = [{"type": "text", "text": "he"}, {"type": "image"}, {"type": "text", "text": "llo"}]
        messages = await site.run("t", "r1", {"id": "m", "role": "user", "content": parts})
        assert messages[-1]["result"] == {"echo": "HELLO"}
        meta = (await site.engine.get("t")).state.meta
        assert meta == {"from": PATH, "ag_ui": {"thread": "t", "run": "r1", "message": "m"}}
        assert (await site.post({"threadId": "u", "runId": "r1", "messages": []}))[0] == 422


def test_what_cannot_be_an_agent_is_refused_at_once() -> None:
    """Anything but a workflow, a name or a function; a heartbeat that cannot be; an engine that is none."""
    app, engine = web.Application(), Engine("memory://")
    for arguments, options, error in [
        ((app, "/a", engine, 3), {}, "begin must be a workflow, its name, or a function"),
        ((app, "/a", engine, "x"), {"heartbeat": -1}, "heartbeat= must be"),
        ((app, "/a", "memory://", "x"), {}, "the engine must be an Engine"),
    ]:
        with pytest.raises((TypeError, ValueError), match=error):
            add_agent(*arguments, **options)


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
