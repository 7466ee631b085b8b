"""``examples/agent.py`` against an endpoint on a real socket, in process, over HTTP and as a command."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer, unused_port

import reactor_web
from examples.agent import (
    ANSWER,
    PLAN,
    RESEARCH,
    ChatError,
    TryAgain,
    Unreachable,
    Usage,
    flow,
    search,
    stream_chat,
)
from reactor import Budget, Engine, Event, InputError, InvalidValue, Run, RunFailed
from tests.helpers.crash import check_laws, read_with_blobs
from tests.helpers.endpoint import DONE, Answer, Endpoint, frame, gated, message, raw, refuses, says, serving, usage
from tests.helpers.paths import ROOT
from tests.helpers.runs import PATIENCE
from tests.helpers.server import Stream

KEY = "sk-very-secret-0123456789"
TOKENS = ["Ein ", "Fenster ", "hält ", "€ ", "und ", "🙂\n", "\u2028", "data: ", "[DONE]", "\r\n", "\\", '"', " Ende"]
TEXT = "".join(TOKENS)
NOTES = {"a.md": "A window holds events.\nNothing here.", "b.md": "Backpressure: a full window holds emit back."}
PRICES = {"input_price": "2.50", "output_price": "10"}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine is set up for is nothing to the tests."""
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def team(*answers: Answer) -> dict[str, list[Answer]]:
    """A plan of two questions, a finding for each, and these answers."""
    return {
        PLAN: [says("1. What is a window?\n", "\n", "- What is backpressure?\n", used=(1000, 100))],
        RESEARCH: [says("It holds ", "events.", used=(2000, 50))],
        ANSWER: list(answers) or [says(*TOKENS, used=(3000, 400))],
    }


def given(endpoint: Endpoint, **more: Any) -> dict[str, Any]:
    at = {"base_url": endpoint.url, "model": "tiny", **PRICES, **more.pop("at", {})}
    return {"question": "What is a window?", "notes": NOTES, "endpoint": at, "unattended": True, **more}


@asynccontextmanager
async def an_engine(*, shared: bool = True) -> AsyncIterator[Engine]:
    async with aiohttp.ClientSession() as session, Engine(resources={"http": session} if shared else {}) as engine:
        yield engine


async def events_of(engine: Engine, run: Run) -> list[Event]:
    """Of a run that ends in time; the laws hold of it."""
    await asyncio.wait_for(run.ended(), PATIENCE)
    events = await read_with_blobs(engine.log, run.id)
    check_laws(events)
    return events


async def ran(endpoint: Endpoint, budget: Budget | None = None, **more: Any) -> list[Event]:
    async with an_engine() as engine:
        return await events_of(engine, await engine.start(flow, given(endpoint, **more), budget=budget))


def of(events: list[Event], type: str, task: str | None = None) -> list[dict[str, Any]]:
    return [event.data for event in events if event.type == type and task in (None, event.task_id)]


def heard(events: list[Event]) -> dict[int, str]:
    """What was streamed, by attempt."""
    texts: dict[int, str] = {}
    for event in events:
        if event.type == "task.chunk":
            assert event.task_id == "answer"
            texts[event.decode()["attempt"]] = texts.get(event.decode()["attempt"], "") + event.data["text"]
    return texts


# --- one call ---------------------------------------------------------------------------------------------------


async def chat(endpoint: Endpoint, **options: Any) -> tuple[str, Usage | None, str | None]:
    """Everything one call says: text, usage, finish_reason."""
    text, used, finish = "", None, None
    async with aiohttp.ClientSession() as session:
        messages = [{"role": "system", "content": ANSWER}, {"role": "user", "content": "?"}]
        async for piece in stream_chat(session, endpoint.url, "tiny", messages, **options):
            text += piece.text
            used, finish = piece.usage or used, piece.finish_reason or finish
    return text, used, finish


@pytest.mark.parametrize("step", [0, 1, 2, 3, 7, 64])
async def test_the_text_is_the_same_wherever_the_bytes_are_cut(step: int) -> None:
    """Within a line, within a character, within the blank line; usage and finish_reason come with it."""
    async with serving(team(says(*TOKENS, used=(3, 4), step=step))) as endpoint:
        text, used, finish = await chat(endpoint, temperature=0)
    assert (text, finish) == (TEXT, "stop")
    assert used == Usage(prompt_tokens=3, completion_tokens=4)
    assert endpoint.bodies[0] | {"messages": []} == {
        "model": "tiny",
        "messages": [],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
    }
    assert endpoint.keys == [None]


UNUSUAL = {
    "lines of CRLF, comments and other fields": b": hi\r\nid: 1\r\ndata: "
    + message("ok")[6:].strip()
    + b"\r\n\r\n: ping\r\n\r\n"
    + message(finish="stop")
    + DONE,
    "data in several lines": b'data: {"choices": [\ndata: {"delta": {"content": "ok"},\n'
    b'data:  "finish_reason": "stop"}]}\n\n' + DONE,
    "a byte order mark": b"\xef\xbb\xbf" + message("ok") + message(finish="stop") + DONE,
    "no [DONE]": message("ok") + message(finish="stop"),
    "no finish_reason": message("ok") + DONE,
    "something after [DONE]": message("ok", finish="stop") + DONE + message("not this"),
    "no blank line after [DONE]": message("ok", finish="stop") + b"data: [DONE]",
    "messages without a delta": frame({"choices": [{"index": 0}]})
    + frame({"choices": [{"delta": None}]})
    + frame({"id": "x", "prompt_filter_results": []})
    + message("ok", finish="stop")
    + DONE,
    "escapes": b'data: {"choices":[{"delta":{"content":"\\u006f\\u006b"},"finish_reason":"stop"}]}\n\n' + DONE,
}


@pytest.mark.parametrize("stream", UNUSUAL.values(), ids=UNUSUAL)
async def test_what_endpoints_in_use_do_is_understood(stream: bytes) -> None:
    """Whatever the standard of server-sent events allows, and what is left out by some endpoints."""
    async with serving(team(raw(stream))) as endpoint:
        text, used, _ = await chat(endpoint)
    assert (text, used) == ("ok", None)


PASSING = {
    "429": (refuses(429, {"error": {"message": "slow down", "code": "rate"}}), "answered 429: slow down"),
    "500": (refuses(500, "<h1>oh\nno</h1>", "text/html"), "answered 500: <h1>oh no</h1>"),
    "503": (refuses(503, {"error": "loading"}), "answered 503: loading"),
    "cut": (raw(message("half"), breaks=True), "the connection to .* broke: "),
    "early end": (raw(message("half")), "ended before the answer did"),
    "nothing": (raw(), "ended before the answer did"),
    "half a message": (raw(message("half"), message("ok")[:-20]), "ended before the answer did"),
    "error inside": (
        raw(message("half"), frame({"error": {"message": "overloaded", "type": "server_error"}})),
        "the stream broke off: overloaded",
    ),
    "event of an error": (raw(b'event: error\ndata: {"message": "gone"}\n\n'), "the stream broke off: gone"),
    "no JSON": (raw(message("half"), b"data: {oops\n\n"), "a message that is not part of a chat"),
    "other JSON": (raw(message("half"), b"data: [1, 2]\n\n"), "a message that is not part of a chat"),
}
LASTING = {
    "400": (refuses(400, {"error": {"message": 'no \\"model\\"', "type": "x"}}), "answered 400: no "),
    "401 that quotes the key": (
        refuses(401, {"error": {"message": f"Incorrect API key provided: {KEY}."}}),
        re.escape("answered 401: Incorrect API key provided: [the key]."),
    ),
    "404": (refuses(404, "404: Not Found", "text/plain"), "answered 404: 404: Not Found"),
    "no stream": (refuses(200, {"choices": [{"message": {"content": "all"}}]}), "answered 200: "),
    "400 inside": (
        raw(frame({"error": {"code": 400, "message": "too long"}})),
        "the stream broke off: too long",
    ),
}


@pytest.mark.parametrize(("answer", "sentence"), PASSING.values(), ids=PASSING)
async def test_what_may_pass_is_worth_another_attempt(answer: Answer, sentence: str) -> None:
    """TryAgain with one sentence, and no text is taken for the whole of it."""
    async with serving(team(answer)) as endpoint:
        with pytest.raises(TryAgain, match=sentence) as raised:
            await chat(endpoint)
    assert not isinstance(raised.value, Unreachable)


@pytest.mark.parametrize(("answer", "sentence"), LASTING.values(), ids=LASTING)
async def test_what_does_not_pass_is_told_at_once_and_without_the_key(answer: Answer, sentence: str) -> None:
    """A ChatError, which no Retry takes."""
    async with serving(team(answer)) as endpoint:
        with pytest.raises(ChatError, match=sentence) as raised:
            await chat(endpoint, api_key=KEY)
    assert not isinstance(raised.value, TryAgain)
    assert KEY not in str(raised.value)


async def test_nobody_listening_is_told_apart() -> None:
    """Unreachable, with the base URL."""
    endpoint = Endpoint({})
    endpoint.url = f"http://127.0.0.1:{unused_port()}/v1"
    with pytest.raises(Unreachable, match=f"{endpoint.url} cannot be reached"):
        await chat(endpoint)


# --- the team ---------------------------------------------------------------------------------------------------


async def test_a_run_plans_researches_each_question_and_answers() -> None:
    """What the models say goes where it belongs, each tool and each call is a pair of events."""
    async with serving(team()) as endpoint:
        events = await ran(endpoint)
    assert of(events, "task.completed", "plan")[0]["output"] == ["What is a window?", "What is backpressure?"]
    assert of(events, "run.completed")[0]["outputs"] == {"answer": TEXT}
    searched = of(events, "tool.call.completed")
    assert [call["arguments"]["words"] for call in searched] == ["What is a window?", "What is backpressure?"]
    assert searched[1]["result"] == ["b.md: Backpressure: a full window holds emit back."]
    assert sorted(endpoint.asked(RESEARCH))[0].endswith("\nb.md: Backpressure: a full window holds emit back.")
    assert endpoint.asked(ANSWER)[0].startswith("What is a window?\n\nIt holds events.\n\nIt holds events.")
    assert [call["status"] for call in of(events, "llm.call.completed")] == ["success"] * 4
    assert {call["model"] for call in of(events, "llm.call.started")} == {"tiny"}


async def test_the_tokens_of_an_answer_are_the_answer(tmp_path: Path) -> None:
    """In order and without loss, from the log, of one attempt; a fast stream is not one event a token."""
    tokens = [f"{number} " for number in range(2000)]
    async with serving(team(says(*tokens, step=1000))) as endpoint, aiohttp.ClientSession() as session:
        async with Engine(f"sqlite:///{tmp_path}/runs.db", resources={"http": session}) as engine:
            run = await engine.start(flow, given(endpoint), run_id="r")
            await events_of(engine, run)
        async with Engine(f"sqlite:///{tmp_path}/runs.db", workflows=[flow]) as engine:
            events = [event async for event in await engine.get("r")]
    assert heard(events) == {1: "".join(tokens)}
    chunks = of(events, "task.chunk")
    assert [chunk["index"] for chunk in chunks] == list(range(len(chunks)))
    assert 1 < len(chunks) < len(tokens) / 2


async def test_a_token_is_seen_while_the_model_still_speaks() -> None:
    """The chunk is in the log before the endpoint has said the rest."""
    gate = asyncio.Event()
    async with serving(team(gated(gate, "First ", "then"))) as endpoint, an_engine() as engine:
        run = await engine.start(flow, given(endpoint))
        async with asyncio.timeout(PATIENCE):
            async for event in run:
                if event.type == "task.chunk" and not gate.is_set():
                    assert event.data == {"text": "First ", "index": 0}
                    assert run.status == "running"
                    gate.set()
            assert await run == {"answer": "First then"}


async def test_costs_are_counted_to_the_cent() -> None:
    """From what the endpoint says was used and the prices of the run; the terminal event has the sum."""
    async with serving(team()) as endpoint:
        events = await ran(endpoint)
    last = events[-1].data
    # plan 1000 + 100, research twice 2000 + 50, answer 3000 + 400 tokens, at $2.50 and $10 a million
    assert last["tokens"] == 1100 + 2 * 2050 + 3400
    assert Decimal(str(last["cost"])) == Decimal("0.0035") + 2 * Decimal("0.0055") + Decimal("0.0115")
    assert [Decimal(str(call["cost"])) for call in of(events, "llm.call.completed")][-1] == Decimal("0.0115")
    assert of(events, "task.spent")[-1]["total_cost"] == last["cost"]


async def test_without_usage_the_estimate_counts() -> None:
    """And says that it is one."""
    async with serving(team(says("ok", used=None))) as endpoint:
        events = await ran(endpoint)
    call = of(events, "llm.call.completed", "answer")[0]
    assert call["is_estimated"] is True
    assert call["cost"] == call["estimated_cost"] > 0
    assert call["tokens"] == 0


async def test_a_budget_stops_the_team() -> None:
    """The call that goes beyond it is the last one; the endpoint is not asked again."""
    async with serving(team()) as endpoint:
        events = await ran(endpoint, Budget(cost="0.003"))
    assert events[-1].type == "run.failed"
    assert events[-1].data["error"]["type"] == "BudgetExceeded"
    assert Decimal(str(events[-1].data["cost"])) == Decimal("0.0035")
    assert len(endpoint.bodies) == 1
    assert of(events, "task.skipped", "answer")[0]["reason"] == "budget"


@pytest.mark.parametrize(
    "first",
    [refuses(429, {"error": {"message": "slow"}}), refuses(500, ""), PASSING["cut"][0], PASSING["error inside"][0]],
    ids=["429", "500", "cut", "error inside"],
)
async def test_a_call_that_failed_is_made_again_and_its_tokens_are_told_apart(first: Answer) -> None:
    """Half an answer belongs to its attempt; the next one begins anew and is the answer; nothing else is repeated."""
    async with serving(team(first, says(*TOKENS))) as endpoint:
        events = await ran(endpoint)
    texts = heard(events)
    assert texts.pop(2) == TEXT
    assert texts in ({}, {1: "half"})
    assert len(of(events, "task.retrying")) == 1
    assert of(events, "task.retrying")[0]["error"]["type"] == "TryAgain"
    assert [call["status"] for call in of(events, "llm.call.completed", "answer")] == ["error", "success"]
    assert of(events, "run.completed")[0]["outputs"] == {"answer": TEXT}
    assert (len(endpoint.asked(PLAN)), len(endpoint.asked(RESEARCH)), len(endpoint.asked(ANSWER))) == (1, 2, 2)


async def test_what_was_used_before_a_stream_broke_is_counted() -> None:
    """Some endpoints count as they go: half an answer costs money too."""
    first = raw(message("half"), usage(1000, 7), breaks=True)
    async with serving(team(first, says("ok", used=(1000, 100)))) as endpoint:
        events = await ran(endpoint)
    assert [call["tokens"] for call in of(events, "llm.call.completed", "answer")] == [1007, 1100]
    assert events[-1].data["tokens"] == 1100 + 2 * 2050 + 1007 + 1100


async def test_attempts_are_not_endless_and_a_refusal_is_not_repeated() -> None:
    """Three attempts for what may pass, one for what does not; the run fails with the endpoint's own sentence."""
    for answer, attempts in ((PASSING["503"][0], 3), (LASTING["400"][0], 1)):
        async with serving(team() | {PLAN: [answer]}) as endpoint:
            events = await ran(endpoint)
        assert events[-1].type == "run.failed"
        assert f"{endpoint.url} answered " in events[-1].data["error"]["message"]
        assert len(endpoint.bodies) == attempts


@pytest.mark.parametrize("given_by", ["input", "environment"])
async def test_the_key_reaches_the_endpoint_and_nobody_else(
    given_by: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It is in no event, no blob, no file of the log, no state and no line that is printed; a refusal quotes it."""
    quoting = refuses(401, {"error": {"message": f"Incorrect API key provided: {KEY}."}})
    async with serving(team(quoting)) as endpoint:
        at: dict[str, Any] = {"api_key": KEY}
        if given_by == "environment":
            monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
            monkeypatch.setenv("OPENAI_API_KEY", KEY)
            at = {"base_url": None}
        input = given(endpoint, at=at)
        input["endpoint"] = {name: value for name, value in input["endpoint"].items() if value is not None}
        async with Engine(f"sqlite:///{tmp_path}/runs.db", tracebacks=True) as engine:
            run = await engine.start(flow, input)
            events = await events_of(engine, run)
            with pytest.raises(RunFailed, match="the key") as failed:
                await run
            assert KEY not in repr(run.state) + str(failed.value)
    assert endpoint.keys == [f"Bearer {KEY}"] * 4
    assert not [event for event in events if KEY.encode() in event.json or KEY.encode() in (event.blob or b"")]
    assert not [path for path in tmp_path.iterdir() if KEY.encode() in path.read_bytes()]
    assert KEY not in "".join(capfd.readouterr())


async def test_the_key_of_the_environment_goes_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may start runs and names an endpoint of their own does not get it sent there."""
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.openai.com/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with serving(team()) as endpoint:
        assert (await ran(endpoint))[-1].type == "run.completed"
    assert set(endpoint.keys) == {None}


@pytest.mark.parametrize("shared", [True, False], ids=["shared session", "session a call"])
async def test_a_cancel_in_the_middle_closes_the_connection(shared: bool) -> None:
    """The endpoint sees the client go, so that it stops to compute; what was said until then is in the log."""
    async with serving(team()) as endpoint, an_engine(shared=shared) as engine:
        endpoint.answers[ANSWER] = [endpoint.stalled("half")]
        run = await engine.start(flow, given(endpoint))
        async with asyncio.timeout(PATIENCE):
            async for event in run:
                if event.type == "task.chunk":
                    await run.request_cancel()
            await endpoint.left.wait()
        events = await events_of(engine, run)
    assert heard(events) == {1: "half"}
    assert of(events, "task.cancelled", "answer")[0]["stopped"] is True
    assert of(events, "llm.call.completed", "answer")[0]["status"] == "cancelled"


async def test_a_person_is_asked_and_may_say_no() -> None:
    """Nothing is answered before, and nothing after a no; a note goes into the answer; nonsense is refused."""
    for verdict, calls in (({"approved": False}, 0), ({"approved": True, "note": "Be brief."}, 1)):
        async with serving(team()) as endpoint, an_engine() as engine:
            run = await engine.start(flow, given(endpoint, unattended=False))
            async with asyncio.timeout(PATIENCE):
                async for event in run:
                    if event.type == "task.waiting":
                        assert event.data["prompt"] == "Answer from these 2 findings?"
                        assert event.data["schema"]["required"] == ["approved"]
                        assert not endpoint.asked(ANSWER)
                        with pytest.raises(InvalidValue, match="at approved: "):
                            await run.send("approval", {"approved": "perhaps"})
                        await run.send("approval", verdict)
            assert run.status == "completed"
            assert len(endpoint.asked(ANSWER)) == calls
            assert all("Be brief." in asked for asked in endpoint.asked(ANSWER))


async def test_a_bad_endpoint_is_refused_before_anything_runs() -> None:
    """One sentence; also for credentials in a URL, which would stand in every event."""
    async with an_engine() as engine:
        for url in ("localhost:11434", "ftp://host", "http://", "http://me:secret@host/v1"):
            with pytest.raises(InputError, match="an http:// or https:// URL without credentials"):
                await engine.start(flow, {"question": "?", "endpoint": {"base_url": url}})
        run = await engine.start(flow, {"question": "?"})
        with pytest.raises(RunFailed, match="there is no endpoint: give a base_url"):
            await asyncio.wait_for(run, PATIENCE)


async def test_an_answer_that_was_cut_off_says_so() -> None:
    """``finish_reason: length`` is a warning on the stream, not a silent half."""
    async with serving(team(says("half", finish="length"))) as endpoint:
        events = await ran(endpoint)
    assert of(events, "log.created", "answer")[0]["fields"] == {"finish_reason": "length"}
    assert events[-1].type == "run.completed"


def test_the_search_gives_the_lines_with_most_of_the_words_first() -> None:
    """Short words do not count; lines without any are left out."""
    assert search("what does a full window hold", NOTES) == [
        "b.md: Backpressure: a full window holds emit back.",
        "a.md: A window holds events.",
    ]
    assert search("is it a", NOTES) == search("zebra", NOTES) == search("window", {}) == []


# --- over HTTP --------------------------------------------------------------------------------------------------


async def test_tokens_and_the_question_to_a_person_pass_over_http() -> None:
    """Start with a budget, follow the tokens as server-sent events, approve with a POST; a resume repeats none."""
    async with serving(team()) as endpoint, an_engine() as engine:
        server = TestServer(reactor_web.create_app(engine, [flow]), host="127.0.0.1")
        await server.start_server(shutdown_timeout=1.0)
        url = f"http://127.0.0.1:{server.port}/api/v1"
        async with server, aiohttp.ClientSession() as session:
            body = {"run_id": "r", "input": given(endpoint, unattended=False), "budget": {"cost": 1}}
            async with session.post(f"{url}/workflows/agent/runs", json=body) as response:
                assert response.status == 201, await response.text()
            query = "?types=task.chunk,task.waiting&tasks=answer,approval"
            async with Stream(session.get(f"{url}/runs/r/events{query}")) as stream:
                await stream.until("task.waiting")
                sent = {"task": "approval", "value": {"approved": True}}
                async with session.post(f"{url}/runs/r/input", json=sent) as response:
                    assert response.status == 202, await response.text()
                frames = await stream.all()
            chunks = [Event.from_json(frame.data.encode()) for frame in frames if frame.event == "task.chunk"]
            assert heard(chunks) == {1: TEXT}
            assert frames[-1].event == "stream.end"
            headers = {"Last-Event-ID": str(chunks[0].seq)}
            async with Stream(session.get(f"{url}/runs/r/events{query}", headers=headers)) as stream:
                again = [frame for frame in await stream.all() if frame.event == "task.chunk"]
            assert [frame.data.encode() for frame in again] == [chunk.json for chunk in chunks[1:]]


# --- the command ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def agent(*arguments: object, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command as a process, which does not outlive its test."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "examples/agent.py", *map(str, arguments), stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT,
        env={**os.environ, **environment},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def said_by(process: asyncio.subprocess.Process, typed: bytes = b"") -> tuple[int, str, str]:
    """Exit code, standard output and error."""
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate(typed)
    assert process.returncode is not None
    assert "Traceback" not in err.decode()
    return process.returncode, out.decode(), err.decode()


async def done(*arguments: object, typed: bytes = b"") -> tuple[int, str, str]:
    async with agent(*arguments) as process:
        return await said_by(process, typed)


async def test_the_command_shows_tokens_as_they_come() -> None:
    """On the standard output, before the model has ended; nothing a model says moves the cursor; costs at the end."""
    gate = asyncio.Event()
    async with serving(team(gated(gate, "First \x1b[2J", "then"))) as endpoint:
        arguments = ("--base-url", endpoint.url, "--prices", "2.50", "10", "--yes", "window?", "README.md")
        async with agent(*arguments, OPENAI_API_KEY=KEY) as process:
            assert process.stdout is not None
            assert await asyncio.wait_for(process.stdout.readexactly(6), PATIENCE) == b"First "
            gate.set()
            code, out, err = await said_by(process)
    assert code == 0, err
    assert out == "\\u001b[2Jthen\n"
    assert "6300 tokens, $0.018" in err
    assert "plan completed" in err
    assert set(endpoint.keys) == {f"Bearer {KEY}"}
    assert KEY not in out + err


@pytest.mark.parametrize(("typed", "is_answered"), [(b"y\n", True), (b"n\n", False), (b"", False)])
async def test_the_command_asks_the_person_before_it(typed: bytes, is_answered: bool) -> None:
    """Yes, no, and an end of the input, which is a no."""
    async with serving(team(says("the answer"))) as endpoint:
        code, out, err = await done("--base-url", endpoint.url, "window?", typed=typed)
    assert code == 0, err
    assert "Answer from these 2 findings? [y/N]" in err
    assert (out.strip() == "the answer") is is_answered
    assert ("not approved" in err) is not is_answered


@pytest.mark.parametrize(("file", "is_answered"), [("/dev/null", False), ("yes.txt", True)])
async def test_the_command_reads_a_person_from_a_file_too(file: str, is_answered: bool, tmp_path: Path) -> None:
    """Which no loop can wait for; and where there is nobody, as in a cron job, that is a no."""
    (tmp_path / "yes.txt").write_text("yes\n")
    async with serving(team()) as endpoint:
        command = f'"{sys.executable}" examples/agent.py --base-url {endpoint.url} "window?" < "{tmp_path / file}"'
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_shell(f"exec {command}", cwd=ROOT, stdout=pipe, stderr=pipe)
        try:
            async with asyncio.timeout(PATIENCE):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
    assert process.returncode == 0, err
    assert (b"not approved" in err) is not is_answered
    assert (TEXT.encode()[:5] in out) is is_answered


async def test_the_command_says_where_an_answer_begins_anew() -> None:
    """Half an answer is not run together with the whole one."""
    async with serving(team(PASSING["cut"][0], says("whole"))) as endpoint:
        code, out, _ = await done("--base-url", endpoint.url, "--yes", "window?")
    assert code == 0
    assert out == "half\n[it broke off, trying again]\nwhole\n"


async def test_the_command_fails_with_the_sentence_of_the_endpoint_or_the_budget() -> None:
    """Exit code 1: it was carried out, and failed."""
    async with serving(team() | {PLAN: [LASTING["400"][0]]}) as endpoint:
        code, out, err = await done("--base-url", endpoint.url, "--yes", "window?")
        assert (code, out) == (1, "")
        assert "answered 400: no " in err
        endpoint.answers = team()
        arguments = ("--prices", 2.5, 10, "--budget", "0.003", "--yes", "window?")
        code, out, err = await done("--base-url", endpoint.url, *arguments)
        assert (code, out) == (1, "")
        assert "the budget is exceeded: 0.0035 of 0.003 cost" in err


@pytest.mark.slow  # six interpreters
async def test_the_command_that_cannot_be_carried_out_is_one_sentence_and_exit_code_2() -> None:
    """No endpoint, nobody listening, no URL, no file, no price, no budget: nothing on the standard output."""
    nobody = f"http://127.0.0.1:{unused_port()}/v1"
    bad = {
        ("window?",): "agent: there is no endpoint: give --base-url",
        ("--base-url", nobody, "window?"): f"agent: {nobody} cannot be reached: ",
        ("--base-url", "localhost", "window?"): "an http:// or https:// URL without credentials",
        ("--base-url", nobody, "window?", "no/such.md"): "agent: no/such.md: No such file or directory",
        ("--base-url", nobody, "--prices", "x", "1", "window?"): "at input_price: Input should be a valid decimal",
        ("--base-url", nobody, "--budget", "much", "window?"): "a cost must be a number from 0, not 'much'",
    }
    outcomes = await asyncio.gather(*(done(*arguments) for arguments in bad))
    for (arguments, sentence), (code, out, err) in zip(bad.items(), outcomes, strict=True):
        assert (code, out) == (2, ""), (arguments, err)
        assert sentence in err, (arguments, err)
        assert err.count("\n") == 1, err


async def test_the_command_is_interrupted_while_it_asks() -> None:
    """Ctrl-C ends it at once, without a word; nothing was answered."""
    async with serving(team()) as endpoint, agent("--base-url", endpoint.url, "window?") as process:
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            await process.stderr.readuntil(b"[y/N] ")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            code = await process.wait()
            err = await process.stderr.read()
        assert code == 130
        assert b"Traceback" not in err
        assert not endpoint.asked(ANSWER)
