"""A DAG as data over HTTP and on the command line: what is answered, and that no document breaks anything."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import reactor_web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor import Engine, Workflow
from tests.helpers.documents import BAD_DOCUMENTS, BAD_TEXTS, GOOD, GOOD_OUTPUT, TOOLS, Bad, plan, task
from tests.helpers.server import Gates, Server, Stream
from tests.web.terminal.test_cli import reactor

JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[str, Engine, aiohttp.web.Application, TestServer]]:
    engine = Engine("memory://", grace=0.0, tools=TOOLS.values())
    app = reactor_web.create_app(engine, _workflow())
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=2.0)
    try:
        yield f"http://127.0.0.1:{server.port}/api/v1", engine, app, server
    finally:
        await server.close()


def _workflow() -> Workflow:
    flow = Workflow("good")
    flow.task(lambda: "a workflow", name="all")
    return flow


@pytest.fixture
async def plans() -> AsyncIterator[Server]:
    async with serving() as (url, engine, app, server), aiohttp.ClientSession() as session:
        yield Server(url, engine, session, Gates(), app, server.close)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A server in a thread of its own, so that hypothesis can ask it; it serves all tests of this module."""
    loop, url = asyncio.new_event_loop(), ""
    is_up, end = threading.Event(), asyncio.Event()

    async def main() -> None:
        nonlocal url
        async with serving() as (url, *_):
            is_up.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    assert is_up.wait(10)
    with httpx.Client(base_url=url, timeout=20) as asking:
        yield asking
    loop.call_soon_threadsafe(end.set)
    thread.join(10)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def post(client: httpx.Client, document: Any, **headers: str) -> httpx.Response:
    raw = document if isinstance(document, bytes) else text_of(document)
    return client.post("/runs", content=raw, headers={**JSON, **headers})


def text_of(document: Any) -> bytes:
    """As a careless client would write it: with NaN, and with halves of surrogate pairs as escapes."""
    if isinstance(document, str):
        return document.encode("utf-8", "surrogatepass")
    return json.dumps(document).encode()


def still_works(client: httpx.Client) -> None:
    answer = post(client, GOOD, Prefer="wait=10")
    assert (answer.status_code, answer.json()["outputs"]) == (201, GOOD_OUTPUT)


def is_reasoned(answer: httpx.Response) -> None:
    """4xx, as a problem whose detail is a sentence."""
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert len(answer.json()["detail"]) > 10


# --- what is answered -------------------------------------------------------------------------------------------


async def test_a_plan_runs_like_any_workflow(plans: Server) -> None:
    """201, Location, the batch result for Prefer: wait; the name is the document's, and no workflow is registered."""
    body = {**GOOD, "run_id": "p-1"}
    async with plans.session.post(f"{plans.url}/runs", json=body, headers={"Prefer": "wait=10"}) as response:
        result = await response.json()
        assert (response.status, response.headers["Location"]) == (201, "/api/v1/runs/p-1")
    assert (result["status"], result["workflow"], result["outputs"]) == ("completed", "good", GOOD_OUTPUT)
    _, run = await plans.get("/runs/p-1")
    assert {name: one["status"] for name, one in run["tasks"].items()} == dict.fromkeys(
        ("list", "total", "name", "all"), "completed"
    )
    _, body = await plans.get("/workflows")
    assert [workflow["name"] for workflow in body["workflows"]] == ["good"]
    assert [one["id"] for one in body["workflows"][0]["tasks"]] == ["all"]


async def test_a_start_of_a_plan_can_be_the_stream_itself(plans: Server) -> None:
    """Accept: text/event-stream; the events name the tools."""
    request = plans.session.post(f"{plans.url}/runs", json=GOOD, headers={"Accept": "text/event-stream"})
    async with Stream(request) as stream:
        frames = await stream.all()
    assert frames[0].event == "run.started"
    assert frames[-1].event == "stream.end"
    started = json.loads(frames[0].data)["data"]
    assert {one["id"]: one["tool"] for one in started["tasks"]} == {one["id"]: one["tool"] for one in GOOD["tasks"]}


async def test_a_plan_is_bound_by_its_budget(plans: Server) -> None:
    """What is above it does not go on."""
    body = {**plan(task("a"), task("b", depends_on=["a"]), task("c", depends_on=["b"])), "budget": {"tasks": 1}}
    async with plans.session.post(f"{plans.url}/runs", json=body, headers={"Prefer": "wait=10"}) as response:
        assert (await response.json())["status"] == "failed"


async def test_a_run_id_is_taken_once(plans: Server) -> None:
    """409 for the second plan."""
    for status in (201, 409):
        async with plans.session.post(f"{plans.url}/runs", json={**GOOD, "run_id": "once"}) as response:
            assert response.status == status


async def test_a_bad_plan_is_answered_with_all_its_problems(plans: Server) -> None:
    """422 as problem+json: detail is the sentence, problems has each place."""
    body = plan(task("a", "fetsch"), task("b", "add", {"a": "$c", "d": 1}))
    async with plans.session.post(f"{plans.url}/runs", json=body) as response:
        problem = await response.json(content_type=None)
        assert (response.status, response.content_type) == (422, "application/problem+json")
    assert problem["place"] == "tasks[0].tool"
    assert [one["place"] for one in problem["problems"]] == ["tasks[0].tool", "tasks[1].input.a", "tasks[1].input.d"]
    assert problem["detail"].startswith("tasks[0].tool is 'fetsch', which is not a known tool, did you mean 'fetch'?; ")


async def test_the_tools_are_listed_with_their_schemas(plans: Server) -> None:
    """GET /tools: name, description, input_schema."""
    status, body = await plans.get("/tools")
    assert status == 200
    assert [one["name"] for one in body["tools"]] == list(TOOLS)
    add = next(one for one in body["tools"] if one["name"] == "add")
    assert add == {
        "name": "add",
        "description": "",
        "input_schema": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 1}},
            "required": ["a"],
            "additionalProperties": False,
        },
    }


async def test_a_web_page_cannot_start_a_plan(plans: Server) -> None:
    """The guard of every change: a content type that makes a browser ask first."""
    async with plans.session.post(f"{plans.url}/runs", data=json.dumps(GOOD)) as response:
        assert response.status == 415


# --- whatever is sent -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [*BAD_DOCUMENTS, *BAD_TEXTS], ids=range(len(BAD_DOCUMENTS) + len(BAD_TEXTS)))
def test_every_bad_document_is_answered_with_a_reason(client: httpx.Client, bad: Bad) -> None:
    """4xx for each document of the table."""
    document = bad.document if isinstance(bad.document, (bytes, dict, list)) or bad in BAD_TEXTS else [bad.document]
    is_reasoned(post(client, document))


def test_after_all_bad_documents_a_good_one_runs(client: httpx.Client) -> None:
    """The server of the test above, unharmed."""
    still_works(client)


def _places(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield where
    if isinstance(value, (dict, list)):
        for step, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(member, (*where, step))


ODD = st.sampled_from(
    ["", "$", "$all", "$list.page", "$nobody", "$$", "list", "a.b", "\ud800", "\0", "x" * 500, "__class__", "fetch", -1,
     0, 2**63, -(2**70), 1e308, float("nan"), float("inf"), True, None, [], {}, [[]], {"": {}}, {"id": "a"}, [None] * 9]
)  # fmt: skip
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
MUTATION = st.tuples(
    st.sampled_from(list(_places(GOOD))), st.sampled_from(["set", "set", "drop", "rename", "repeat"]), ODD | ANY
)


def mutated(changes: list[tuple[tuple[Any, ...], str, Any]]) -> Any:
    """GOOD with some members set to something else, dropped, renamed or repeated."""
    holder: dict[str, Any] = {"document": copy.deepcopy(GOOD)}
    for where, how, value in changes:
        *steps, last = ("document", *where)
        owner: Any = holder
        try:
            for step in steps:
                owner = owner[step]
            member = owner[last]
        except (LookupError, TypeError):  # an earlier change took it away
            continue
        if how == "set" or last == "document" or isinstance(owner, str):
            owner[last] = value
        elif how == "repeat" and isinstance(owner, list):
            owner.append(member)
        else:
            del owner[last]
            if how == "rename" and isinstance(owner, dict):
                owner[f"{last}s"] = member
    return holder["document"]


DOCUMENTS = st.lists(MUTATION, min_size=1, max_size=3).map(mutated) | ANY | st.builds(
    lambda tasks, more: {**more, "tasks": tasks}, ANY, st.dictionaries(st.sampled_from(["name", "meta", "budget"]), ANY)
)  # fmt: skip


def test_no_document_breaks_the_server(client: httpx.Client) -> None:
    """Mutations of a good document, and any JSON: started or refused with a reason, and good ones still run."""
    answers: Counter[int] = Counter()

    @settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(DOCUMENTS)
    def ask(document: Any) -> None:
        answer = post(client, {"document": document} if isinstance(document, str) else document)
        answers[answer.status_code] += 1
        if answer.status_code != 201:
            is_reasoned(answer)
        if answers.total() % 100 == 0:
            still_works(client)

    ask()
    assert answers.keys() <= {201, 400, 413, 422}
    assert answers.total() - answers[201] >= 350, answers
    still_works(client)


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(raw=st.binary(min_size=1, max_size=300))
def test_no_bytes_break_the_server(client: httpx.Client, raw: bytes) -> None:
    """Whatever is no JSON is 400."""
    is_reasoned(post(client, raw))


# --- the command line -------------------------------------------------------------------------------------------


CLI_TOOLS = """
from reactor import tool

@tool
def double(n: int) -> int:
    return 2 * n
"""
CLI_PLAN = plan(task("a", "double", {"n": 4}), task("b", "double", {"n": "$a"}), budget={"tasks": 5})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tools.py").write_text(CLI_TOOLS)
    (tmp_path / "more.py").write_text(CLI_TOOLS.replace("double", "triple"))
    (tmp_path / "plan.json").write_text(json.dumps(CLI_PLAN))
    return tmp_path


def test_run_runs_a_plan(folder: Path) -> None:
    """With its tools; outputs and exit code are those of any run."""
    done = reactor("run", "plan.json", "--tools", "tools.py", "--tools", "more.py", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "b completed" in done.stdout
    assert "16" in done.stdout


def test_graph_prints_a_plan(folder: Path) -> None:
    """As Mermaid."""
    done = reactor("graph", "plan.json", "--tools", "tools.py", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["flowchart TD", '    t0["a"]', '    t1["b"]', "    t0 --> t1"]


@pytest.mark.parametrize(("arguments", "text", "told"), [
    (["--tools", "tools.py"], "{", "plan.json: the plan is not JSON: "),
    (["--tools", "tools.py"], "[]", "plan.json: the plan must be an object, not a list"),
    (["--tools", "tools.py"], '{"tasks": [{"id": "a", "tool": "doubel"}]}', "tasks[0].tool is 'doubel'"),
    (["--tools", "tools.py"], '{"tasks": [{"id": "a", "tool": "double"}]}', "tasks[0].input.n is missing"),
    (["--tools", "tools.py"], '{"tasks": [], "tasks": []}', "tasks appears twice"),
    (["--tools", "tools.py"], " " * 2_000_000, "the limit is 1,048,576"),
    (["--tools", "none.py"], None, "there is no file none.py"),
    (["--tools", "plan.json"], None, "plan.json is no Python file"),
    (["--tools", "tools.py", "n=5"], None, "'n=5' cannot be given"),
    ([], None, "say with --tools which files register its tools"),
])  # fmt: skip
def test_what_cannot_run_is_told_in_one_sentence(
    folder: Path, arguments: list[str], text: str | None, told: str
) -> None:
    """Exit code 2, on stderr."""
    if text is not None:
        (folder / "plan.json").write_text(text)
    done = reactor("run", "plan.json", *arguments, cwd=folder)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_tools_are_for_plans(folder: Path) -> None:
    """--tools beside a Python file is a mistake; a plan that is not there is told."""
    done = reactor("run", "tools.py", "--tools", "tools.py", cwd=folder)
    assert (done.returncode, "--tools is for a plan" in done.stderr) == (2, True)
    done = reactor("graph", "none.json", "--tools", "tools.py", cwd=folder)
    assert (done.returncode, "none.json cannot be read: No such file" in done.stderr) == (2, True)


def test_the_example_runs() -> None:
    """examples/plan.json over examples/tools.py."""
    done = reactor("run", "examples/plan.json", "--tools", "examples/tools.py")
    assert done.returncode == 0, done.stderr
    assert "What the docs are made of" in done.stdout
