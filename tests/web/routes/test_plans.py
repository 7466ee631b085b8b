"""A DAG as data over HTTP: what is answered, and that no document breaks the server."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor import Engine, Workflow
from tests.helpers.documents import BAD_DOCUMENTS, BAD_TEXTS, GOOD, GOOD_OUTPUT, TOOLS, Bad, plan, task
from tests.helpers.server import Serve, Server, Stream, serving

JSON = {"Content-Type": "application/json"}


def _workflow() -> Workflow:
    flow = Workflow("good")
    flow.task(lambda: "a workflow", name="all")
    return flow


def engine() -> Engine:
    return Engine("memory://", grace=0.0, tools=TOOLS.values())


@pytest.fixture
async def plans(serve: Serve) -> Server:
    """A server with tools, and a workflow that has the same name as the plan."""
    return await serve(engine(), _workflow())


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A server in a thread of its own, so that hypothesis can ask it; it serves all tests of this module."""
    loop, url = asyncio.new_event_loop(), ""
    is_up, end = threading.Event(), asyncio.Event()

    async def main() -> None:
        nonlocal url
        async with serving(engine(), _workflow()) as server:
            url = server.url
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
    """Asserts that the answer is 4xx, with a problem document whose detail is a sentence."""
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert len(answer.json()["detail"]) > 10


# --- what is answered ------------------------------------------------------------------------------------------------


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
    """With Accept: text/event-stream the answer is the stream, whose events name the tools."""
    request = plans.session.post(f"{plans.url}/runs", json=GOOD, headers={"Accept": "text/event-stream"})
    async with Stream(request) as stream:
        frames = await stream.all()
    assert frames[0].event == "run.started"
    assert frames[-1].event == "stream.end"
    started = json.loads(frames[0].data)["data"]
    assert {one["id"]: one["tool"] for one in started["tasks"]} == {one["id"]: one["tool"] for one in GOOD["tasks"]}


async def test_a_plan_is_bound_by_its_budget(plans: Server) -> None:
    """A plan whose budget is exceeded fails."""
    body = {**plan(task("a"), task("b", depends_on=["a"]), task("c", depends_on=["b"])), "budget": {"tasks": 1}}
    assert (await plans.post("/runs", body, Prefer="wait=10"))[1]["status"] == "failed"


async def test_a_run_id_is_taken_once(plans: Server) -> None:
    """The second plan under the same run id is 409."""
    for status in (201, 409):
        assert (await plans.post("/runs", {**GOOD, "run_id": "once"}))[0] == status


async def test_a_bad_plan_is_answered_with_all_its_problems(plans: Server) -> None:
    """422 as problem+json: detail is the sentence, problems has each place."""
    body = plan(task("a", "fetsch"), task("b", "add", {"a": "$c", "d": 1}))
    async with plans.session.post(f"{plans.url}/runs", json=body) as response:
        problem = await response.json(content_type=None)
        assert (response.status, response.content_type) == (422, "application/problem+json")
    assert problem["place"] == "tasks[0].tool"
    assert [one["place"] for one in problem["problems"]] == ["tasks[0].tool", "tasks[1].input.a", "tasks[1].input.d"]
    assert problem["detail"].startswith("tasks[0].tool is 'fetsch', which is not a known tool, did you mean 'fetch'?; ")


@pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b"NaN", b'{"tasks": [}'])
async def test_a_body_that_is_no_json_is_400_and_told_as_a_body(plans: Server, raw: bytes) -> None:
    """A body that is not JSON is 400, as on every other route; JSON that is not a plan is 422."""
    async with plans.session.post(f"{plans.url}/runs", data=raw, headers=JSON) as response:
        assert response.status == 400
        assert (await response.json(content_type=None))["detail"].startswith("the body is not JSON: ")
    assert (await plans.post("/runs", []))[0] == 422
    async with plans.session.post(f"{plans.url}/runs", headers=JSON) as response:
        assert response.status == 422


async def test_a_web_page_cannot_start_a_plan(plans: Server) -> None:
    """Without a JSON content type, as a form of a web page would send it, the answer is 415."""
    async with plans.session.post(f"{plans.url}/runs", data=json.dumps(GOOD)) as response:
        assert response.status == 415


# --- whatever is sent ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [*BAD_DOCUMENTS, *BAD_TEXTS], ids=range(len(BAD_DOCUMENTS) + len(BAD_TEXTS)))
def test_every_bad_document_is_answered_with_a_reason(client: httpx.Client, bad: Bad) -> None:
    """Each document of the table is answered with 4xx and a reason."""
    document = bad.document if isinstance(bad.document, (bytes, dict, list)) or bad in BAD_TEXTS else [bad.document]
    is_reasoned(post(client, document))


def test_after_all_bad_documents_a_good_one_runs(client: httpx.Client) -> None:
    """The same server, after all bad documents, still runs a good one."""
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
    """Mutations of a good document, and any JSON, are started or refused with a reason; good ones still run."""
    answers: Counter[int] = Counter()

    @settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
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
    assert answers.total() - answers[201] >= 210, answers
    still_works(client)


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(raw=st.binary(min_size=1, max_size=300))
def test_no_bytes_break_the_server(client: httpx.Client, raw: bytes) -> None:
    """Bytes that are not JSON are refused with a reason."""
    is_reasoned(post(client, raw))
