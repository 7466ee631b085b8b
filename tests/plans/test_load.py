"""A DAG as data: what a document becomes, and that a wrong one is told what is wrong and where, before it runs."""

from __future__ import annotations

import asyncio
import copy
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import Engine, Run, RunFailed, Workflow, WorkflowError
from reactor.definition.references import fill_references
from reactor.errors import PlanError
from reactor.plans.load import load_plan, parse_plan
from reactor.plans.tools import Tool, tool, tools
from reactor.testing import read_all
from tests.helpers.documents import (
    BAD_DOCUMENTS,
    BAD_TEXTS,
    BAD_VALUES,
    GOOD,
    GOOD_OUTPUT,
    TOOLS,
    Bad,
    add,
    echo,
    pid,
    plan,
    task,
    with_value,
)
from tests.helpers.runs import PATIENCE


def load(*tasks: Any, **more: Any) -> Workflow:
    return load_plan(plan(*tasks, **more), TOOLS)


async def finished(document: Any, **options: Any) -> Run:
    async with Engine() as engine:
        run = await engine.start(load_plan(document, TOOLS), {}, **options)
        await asyncio.wait_for(run.ended(), PATIENCE)
        return run


async def output_of(document: Any) -> dict[str, Any]:
    async with Engine() as engine:
        return await asyncio.wait_for(await engine.start(load_plan(document, TOOLS), {}), PATIENCE)


async def failure_of(document: Any, task_id: str) -> tuple[str, str]:
    run = await finished(document)
    error = run.state.tasks[task_id].error
    assert error is not None
    return error["type"], error["message"]


# --- what a document becomes ------------------------------------------------------------------------------------


def test_a_document_becomes_a_frozen_workflow_with_its_edges() -> None:
    """References and depends_on are the edges; name, retry, timeout, meta are those of a task."""
    flow = load_plan(GOOD, TOOLS)
    graph = flow.validate()
    assert flow.is_frozen
    assert flow.name == "good"
    assert {node.name: set(node.upstreams) for node in graph.nodes} == {
        "list": set(),
        "total": {"list"},
        "name": {"list"},
        "all": {"total", "name", "list"},
    }
    assert graph.leaves == ("all",)
    assert not graph.inputs
    total = flow.tasks["total"]
    assert (total.tool, total.timeout, total.retry and total.retry.attempts) == ("add", 5, 2)
    assert flow.tasks["name"].meta == {"title": "Name"}
    assert graph.by_name["list"].describe() == {
        "id": "list",
        "kind": "task",
        "depends_on": [],
        "place": 0,
        "tool": "fetch",
    }


def test_what_is_stored_of_a_document_gives_the_same_workflow() -> None:
    """workflow.plan is plain JSON without run_id, meta and budget, and loads to the same fingerprint, over and over."""
    flow = load_plan({**GOOD, "run_id": "r", "budget": {"cost": 1}}, TOOLS)
    assert flow.plan is not None
    assert flow.plan.keys() == {"tasks", "name"}
    again = load_plan(orjson.loads(orjson.dumps(flow.plan)), TOOLS)
    assert again.plan == flow.plan
    assert again.validate().fingerprint == flow.validate().fingerprint


def test_a_workflow_does_not_change_with_the_document_it_was_made_from() -> None:
    """The plan is a copy, and so are the values bodies are given."""
    document = copy.deepcopy(GOOD)
    flow = load_plan(document, TOOLS)
    document["tasks"][0]["input"]["url"] = "changed"
    document["tasks"].clear()
    assert flow.plan == {"name": "good", "tasks": GOOD["tasks"]}
    assert flow.tasks["list"].given["url"] == "http://example"


@pytest.mark.parametrize("change", [
    lambda one: one["input"].update(value=2), lambda one: one.update(on_upstream_failure="run"),
    lambda one: one.update(id="c"), lambda one: one.update(depends_on=["a"]),
])  # fmt: skip
def test_another_document_has_another_fingerprint(change: Any) -> None:
    """A run cannot go on in a plan whose values, names or edges differ."""
    document = plan(task(), task("b", "echo", {"value": 1}))
    before = load_plan(document, TOOLS).validate().fingerprint
    change(document["tasks"][1])
    assert load_plan(document, TOOLS).validate().fingerprint != before


def test_members_that_are_null_are_as_good_as_none() -> None:
    """Models write null where they mean nothing."""
    of_task = dict.fromkeys(("input", "depends_on", "retry", "timeout", "on_upstream_failure", "meta"))
    of_plan = dict.fromkeys(("name", "run_id", "meta", "budget"))
    flow = load({"id": "a", "tool": "echo", **of_task}, **of_plan)
    assert flow.plan == {"tasks": [{"id": "a", "tool": "echo"}]}
    assert flow.name == "plan"


def test_members_may_have_the_names_that_other_systems_give_them() -> None:
    """dependsOn and arguments are depends_on and input: the same plan, the same fingerprint, and the document stays."""
    theirs = plan(
        {"id": "a", "tool": "echo", "arguments": {"value": 1}},
        {"id": "b", "tool": "add", "arguments": {"a": "$a"}, "dependsOn": ["a"]},
    )
    ours = plan(task("a", "echo", {"value": 1}), task("b", "add", {"a": "$a"}, depends_on=["a"]))
    before = copy.deepcopy(theirs)
    flow = load_plan(theirs, TOOLS)
    assert theirs == before
    assert flow.plan == ours
    assert flow.validate().fingerprint == load_plan(ours, TOOLS).validate().fingerprint


def test_of_two_names_of_a_member_one_may_be_null() -> None:
    """Null is as good as not given, under either name and in either order."""
    for members in (
        {"depends_on": None, "dependsOn": ["a"]}, {"dependsOn": ["a"], "depends_on": None},
        {"dependsOn": None, "depends_on": ["a"]}, {"depends_on": ["a"], "dependsOn": None},
    ):  # fmt: skip
        flow = load(task(), {"id": "b", "tool": "echo", "arguments": None, **members})
        assert flow.plan == plan(task(), {"id": "b", "tool": "echo", "depends_on": ["a"]})


def test_the_tools_of_a_document_are_those_it_is_given() -> None:
    """A mapping, or any iterable of tools."""
    assert load_plan(plan(task()), [Tool(echo)]).tasks["a"].function is echo
    with pytest.raises(PlanError, match="is 'echo', which is not a known tool; known tools: none"):
        load_plan(plan(task()), [])
    with pytest.raises(PlanError, match="known tools: add"):
        load_plan(plan(task()), [Tool(add)])


def test_options_of_a_tool_are_those_of_its_tasks() -> None:
    """executor, limits and concurrency come with the tool: a document cannot change how a function is run."""
    made = Tool(echo, name="e", executor="thread", limits=["api"], concurrency=2)
    task_made = load_plan(plan(task("a", "e")), [made]).tasks["a"]
    assert (task_made.executor, task_made.limits, task_made.concurrency) == ("thread", ("api",), 2)


def test_the_largest_plan_loads() -> None:
    """1,000 tasks, each with references to the eighty before it."""
    tasks = [
        task(f"t{i}", "echo", {"value": [f"$t{j}" for j in range(max(0, i - 80), i)]}, depends_on=["first"])
        for i in range(999)
    ]
    tasks.append(task("first"))
    assert len(load_plan(parse_plan(json.dumps(plan(*tasks))), TOOLS).validate().nodes) == 1_000


# --- what is wrong with a document ------------------------------------------------------------------------------


def refused(document: Any) -> PlanError:
    with pytest.raises(PlanError) as raised:
        load_plan(document, TOOLS)
    return raised.value


def is_told(error: PlanError, bad: Bad) -> None:
    first = error.problems[0]
    assert first["place"] == error.place == bad.place
    assert bad.fragment in first["message"]
    assert first["message"] in str(error)
    assert str(error).startswith(bad.place or "the plan")
    assert len(str(error)) < 2_000
    orjson.dumps(error.problems)  # can be told over HTTP


@pytest.mark.parametrize("bad", BAD_DOCUMENTS, ids=range(len(BAD_DOCUMENTS)))
def test_a_bad_document_is_told_what_is_wrong_and_where(bad: Bad) -> None:
    """One sentence with the place first."""
    is_told(refused(bad.document), bad)


@pytest.mark.parametrize("bad", BAD_VALUES, ids=range(len(BAD_VALUES)))
def test_what_is_not_json_is_refused(bad: Bad) -> None:
    """Values that are not JSON are refused, also those that hold themselves."""
    is_told(refused(bad.document), bad)


@pytest.mark.parametrize("bad", BAD_TEXTS, ids=range(len(BAD_TEXTS)))
def test_a_text_that_is_no_json_is_told_line_and_column(bad: Bad) -> None:
    """And what parsers disagree about: members that are there twice, integers that would be rounded."""
    with pytest.raises(PlanError) as raised:
        parse_plan(bad.document)
    is_told(raised.value, bad)


def test_the_table_is_long() -> None:
    """Hand-made documents, each with its place."""
    assert len(BAD_DOCUMENTS) + len(BAD_VALUES) + len(BAD_TEXTS) >= 250


def test_up_to_twenty_problems_are_told_at_once() -> None:
    """Problems come in the order of the document, and the sentence has the first three."""
    error = refused(plan(*[task(f"t{i}", "none") for i in range(30)]))
    assert [problem["place"] for problem in error.problems] == [f"tasks[{i}].tool" for i in range(20)]
    assert str(error).endswith("; and 17 more")
    error = refused(plan(*[task("a b", "echo") for _ in range(30)]))
    assert len(error.problems) == 20
    error = refused(plan(task("a", "echo", {"value": [float("nan")] * 30})))
    assert len(error.problems) == 20


def test_different_problems_of_one_document_are_all_told() -> None:
    """Nobody corrects a document one problem at a time."""
    error = refused(
        plan(
            task("a", "fetch", {"ulr": 1}),
            task("b", "add", {"a": "one"}, depends_on=["c", "b"]),
            task("b", "total", {"numbers": ["$d"]}),
        )
    )
    assert [problem["place"] for problem in error.problems] == [
        "tasks[2].id", "tasks[0].input.ulr", "tasks[0].input.url", "tasks[1].depends_on[0]", "tasks[1].depends_on[1]",
        "tasks[1].input.a", "tasks[2].input.numbers[0]",
    ]  # fmt: skip


def test_a_value_with_a_reference_in_it_is_not_judged_before_the_run() -> None:
    """Only what is literal through and through is."""
    load(task(), task("b", "total", {"numbers": ["$a", "no number"]}), task("c", "add", {"a": "$a.n"}))


NAMES = st.sampled_from(["id", "tool", "input", "tasks", "value", "a"]) | st.text(max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["a", "b", "echo", "add", "$a", "$b.x", "$$", "$", "tasks"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(VALUES | st.builds(lambda tasks: {"tasks": tasks}, VALUES | st.lists(VALUES, min_size=1, max_size=3)))
def test_any_value_is_a_plan_or_told_why_not(document: Any) -> None:
    """Nothing but PlanError, whatever comes; and what loads, loads again to the same."""
    try:
        flow = load_plan(document, TOOLS)
    except PlanError as error:
        orjson.dumps([str(error), error.problems])
        return
    assert load_plan(flow.plan, TOOLS).validate().fingerprint == flow.validate().fingerprint


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_text_is_json_or_told_why_not(text: str | bytes) -> None:
    """Nothing but PlanError."""
    with suppress(PlanError):
        parse_plan(text)


# --- running ----------------------------------------------------------------------------------------------------


async def test_references_reach_into_nested_outputs_and_fan_in() -> None:
    """$id, $id.path.0, several of them in lists and objects; $$ is a dollar."""
    assert await output_of(GOOD) == GOOD_OUTPUT
    document = plan(
        task("a", "fetch", {"url": "$$HOME"}),
        task("b", "echo", {"value": {"whole": "$a", "deep": ["$a.page.items.1.name"], "text": "costs $5 of $a"}}),
    )
    output = (await output_of(document))["b"]
    assert output["whole"]["url"] == "$HOME"
    assert output["deep"] == ["second"]
    assert output["text"] == "costs $5 of $a"


async def test_a_dependency_without_data_is_waited_for() -> None:
    """depends_on alone makes the order."""
    async with Engine() as engine:
        run = await engine.start(load(task("last", depends_on=["first"]), task("first")), {})
        await run
        events = await read_all(engine.log, run.id)
    order = [(event.type, event.task_id) for event in events if event.type in ("task.started", "task.completed")]
    assert order.index(("task.completed", "first")) < order.index(("task.started", "last"))


async def test_tools_take_the_context_and_run_on_the_loop_or_in_threads() -> None:
    """async def and def, with a parameter ctx or one annotated Context, which a document does not see."""
    assert await output_of(plan(task("x", "whoami", {"greeting": "me:"}), task("y", "in_thread"))) == {
        "x": "me: x",
        "y": "y",
    }


async def test_a_tool_can_run_in_a_process() -> None:
    """Where a tool runs is said by the tool; a document cannot say it."""
    document = plan(task("a", "echo", {"value": "x"}), task("b", "pid", {"of": "$a"}))
    async with Engine() as engine:
        run = await engine.start(load_plan(document, [TOOLS["echo"], Tool(pid, executor="process")]), {})
        output = (await asyncio.wait_for(run, PATIENCE))["b"]
    assert output["of"] == "x"
    assert output["pid"] != os.getpid()


async def test_what_a_document_does_not_give_is_the_default_of_the_function() -> None:
    """A parameter that a document does not give has its default, even if a task has its name."""
    assert await output_of(plan(task("b", "echo", {"value": 5}), task("c", "add", {"a": "$b"}))) == {"c": 6}


async def test_values_arrive_as_the_tool_declares_them() -> None:
    """A model is a model, from a literal and from a reference."""
    document = plan(
        task("p", "echo", {"value": {"x": 3}}),
        task("literal", "move", {"to": {"x": 1, "y": 2}}),
        task("referred", "move", {"to": "$p", "by": "bus"}),
        task("partly", "move", {"to": {"x": "$p.x"}}),
    )
    assert await output_of(document) == {
        "literal": {"x": 1, "y": 2, "by": "foot", "type": "Point"},
        "referred": {"x": 3, "y": 0, "by": "bus", "type": "Point"},
        "partly": {"x": 3, "y": 0, "by": "foot", "type": "Point"},
    }


async def test_a_failing_tool_skips_what_depends_on_it() -> None:
    """Through references and depends_on, however far away."""
    run = await finished(
        plan(
            task("bad", "fail"),
            task("data", "echo", {"value": "$bad"}),
            task("order", depends_on=["bad"]),
            task("further", "echo", {"value": "$data.x"}),
            task("apart", "echo", {"value": 2}),
        )
    )
    assert {name: one.status for name, one in run.state.tasks.items()} == {
        "bad": "failed", "data": "skipped", "order": "skipped", "further": "skipped", "apart": "completed"
    }  # fmt: skip
    with pytest.raises(RunFailed, match="told to fail"):
        await run


async def test_a_failure_can_be_handled_by_a_task_that_runs_anyway() -> None:
    """on_upstream_failure: run; what failed is null where it is referred to."""
    document = plan(task("bad", "fail"), task("anyway", "echo", {"value": ["$bad", 1]}, on_upstream_failure="run"))
    assert await output_of(document) == {"anyway": [None, 1]}


@pytest.mark.parametrize(("reference", "told"), [
    ("$a.pages", "$a.pages: $a is an object without 'pages'"),
    ("$a.page.items.2", "$a.page.items.2: $a.page.items has 2 items"),
    ("$a.page.items.first", "$a.page.items.first: $a.page.items is a list without 'first'"),
    ("$a.page.items.-1", "is a list without '-1'"),
    ("$a.page.total.real", "$a.page.total.real: $a.page.total is a number without 'real'"),
    ("$a.url.0", "$a.url is a string without '0'"),
    ("$a.url.__class__", "$a.url is a string without '__class__'"),
    ("$a.__class__.__mro__", "$a is an object without '__class__'"),
    ("$a.keys", "$a is an object without 'keys'"),
])  # fmt: skip
async def test_a_path_that_is_not_there_fails_the_task_and_says_so(reference: str, told: str) -> None:
    """Members and indexes only: attributes are out of reach."""
    _, message = await failure_of(
        plan(task("a", "fetch", {"url": "x"}), task("b", "echo", {"value": [reference]})), "b"
    )
    assert told in message


async def test_a_value_of_the_wrong_type_fails_the_task_and_says_so() -> None:
    """The error names the parameter and what was expected."""
    for name, input in (("add", {"a": "$x"}), ("total", {"numbers": [1, "$x"]}), ("move", {"to": {"x": "$x"}})):
        _, message = await failure_of(plan(task("x", "echo", {"value": "no number"}), task("b", name, input)), "b")
        assert repr(next(iter(input))) in message
        assert "valid integer" in message


async def test_retry_and_timeout_of_a_document_are_kept() -> None:
    """Attempts count, and what takes too long fails."""
    run = await finished(
        plan(
            task("again", "fail", retry={"attempts": 3, "delay": 0.0}),
            task("late", "wait", timeout=0.05),
        )
    )
    assert run.state.tasks["again"].attempt == 3
    assert run.state.tasks["late"].error["type"] == "TaskTimeout"  # type: ignore[index]


async def test_a_plan_does_not_clash_with_a_workflow_of_its_name() -> None:
    """A plan is not registered, so it clashes neither with a workflow of its name nor with another plan."""
    flow = Workflow("plan")
    flow.task(lambda: "workflow", name="a")
    async with Engine(workflows=[flow]) as engine:
        one = await engine.start(load(task("a", "echo", {"value": 1})), {})
        other = await engine.start(load(task("a", "echo", {"value": 2})), {})
        assert [await one, await other, await (await engine.start("plan", {}))] == [
            {"a": 1},
            {"a": 2},
            {"a": "workflow"},
        ]
        assert engine.workflow("plan") is flow


async def test_a_document_that_a_tool_gives_is_data() -> None:
    """What an upstream says is not read for references again."""
    document = plan(task("a", "echo", {"value": ["$$b", "x"]}), task("b", "echo", {"value": {"v": "$a"}}))
    assert (await output_of(document)) == {"b": {"v": ["$b", "x"]}}
    assert fill_references("$a", {"a": "$b"}) == "$b"


async def test_a_plan_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Another engine rebuilds it from the log; one without its tools leaves it as it is."""
    gate = tmp_path / "gate"

    async def gated(path: str) -> str:
        while not Path(path).exists():
            await asyncio.sleep(0.01)
        return "through"

    known = [*TOOLS.values(), Tool(gated)]
    document = plan(
        task("a", "fetch", {"url": "x"}),
        task("b", "gated", {"path": str(gate)}, depends_on=["a"]),
        task("c", "echo", {"value": ["$a.page.total", "$b"]}),
    )
    url = f"sqlite:///{tmp_path / 'log.db'}"
    async with Engine(url, tools=known, grace=0.0) as engine:
        run = await engine.start(load_plan(document, known), {}, run_id="r")
        while run.state.tasks["b"].status != "running":
            await asyncio.sleep(0.01)
    async with Engine(url, tools=TOOLS.values(), grace=0.0) as engine:
        assert "gated" in engine.not_recovered["r"]
    gate.touch()
    async with Engine(url, tools=known, grace=0.0) as engine:
        assert await asyncio.wait_for(await engine.get("r"), PATIENCE) == {"c": [2, "through"]}


# --- tools ------------------------------------------------------------------------------------------------------


def test_a_tool_stays_callable_and_describes_itself() -> None:
    """Its function, docstring and JSON Schema, without the context."""
    made = TOOLS["whoami"]
    assert made.describe() == {
        "name": "whoami",
        "description": "",
        "input_schema": {
            "type": "object",
            "properties": {"greeting": {"type": "string", "default": "I am"}},
            "additionalProperties": False,
        },
    }
    assert TOOLS["echo"](3) == 3
    assert TOOLS["echo"].description == "Gives back what it is given."
    assert TOOLS["move"].input_schema["properties"]["to"] == {"$ref": "#/$defs/Point"}
    assert TOOLS["move"].input_schema["required"] == ["to"]
    assert repr(TOOLS["echo"]) == "<Tool echo>"


def registered_here(n: int) -> int:
    return n


def test_a_name_is_taken_once() -> None:
    """The same function again replaces, another one is refused; making a Tool registers nothing."""
    name = "test_load.registered"
    Tool(registered_here, name=name)
    assert name not in tools()
    first = tool(name=name)(registered_here)
    assert tools()[name] is first
    second = tool(name=name)(registered_here)
    assert tools()[name] is second
    with pytest.raises(WorkflowError, match=r"tests.plans.test_load.registered_here is registered under this name"):
        tool(name=name)(echo)
    with pytest.raises(WorkflowError, match="another one with"):
        tool(name=name)(lambda: None)
    assert tools()[name] is second
    with pytest.raises(TypeError):
        tools()[name] = first  # type: ignore[index]


def with_several(*values: int) -> None: ...
def with_any(**values: int) -> None: ...
def with_position(value: int, /) -> None: ...
def with_odd_default(value: Any = object()) -> None: ...  # noqa: B008


@pytest.mark.parametrize(("function", "options", "told"), [
    (with_several, {}, "[*]values: .* cannot be bound by name"),
    (with_any, {}, "[*]{2}values: .* cannot be bound by name"),
    (with_position, {}, "value: .* cannot be bound by name"),
    (with_odd_default, {}, "the default of parameter 'value' is not JSON: object"),
    (lambda: None, {}, "its name must be one of A-Z a-z _"),
    (echo, {"name": "a b"}, "its name must be"),
    (echo, {"name": "x" * 65}, "its name must be"),
    (echo, {"name": "1"}, "its name must be"),
    (echo, {"name": "a~b"}, "its name must be"),
    (echo, {"name": "reactor.echo"}, "reserved"),
    (echo, {"executor": "cloud"}, "executor"),
    (lambda: None, {"name": "x", "executor": "process"}, "cannot run in a process"),
    (echo, {"concurrency": 0}, "concurrency"),
    (echo, {"limits": [1]}, "limits"),
])  # fmt: skip
def test_what_cannot_be_a_tool_is_told_why(function: Any, options: dict[str, Any], told: str) -> None:
    """When it is made, in one sentence that names it."""
    with pytest.raises(WorkflowError, match=told) as raised:
        Tool(function, **options)
    assert str(raised.value).startswith("tool '")


def test_a_document_is_never_a_program() -> None:
    """Strings that would be code elsewhere are strings."""
    for text in ("__import__('os').system('true')", "{0.__class__}", "{{7*7}}", "${7*7}"[1:], "%(a)s", "#{1+1}"):
        flow = load(task("a", "echo", {"value": text}))
        assert flow.tasks["a"].given == {"value": text}
    assert "not a reference" in str(refused(with_value("${jndi:ldap://x}", "").document))
