"""Defining a workflow: what binds to what, and what each mistake is told."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel

import reactor.errors
from reactor import Context, Engine, InputError, ReactorError, Task, Workflow, WorkflowError


def flow_of(*names: str, **edges: list[str]) -> Workflow:
    flow = Workflow("flow")
    for name in names or edges:
        flow.task(_nothing, name=name, after=edges.get(name, []))
    return flow


async def _nothing() -> None: ...


def test_a_parameter_takes_the_output_of_the_task_of_its_name_or_is_an_input() -> None:
    """A parameter is bound by its name or by ``needs=``; the parameter of the Context is bound to nothing."""
    flow = Workflow("flow")

    @flow.task
    def fetch(url: str) -> bytes: ...

    @flow.task(needs={"raw": fetch}, after="log")
    def parse(raw: bytes, ctx: Context, strict: bool = True) -> list[str]: ...

    @flow.task
    def log() -> None: ...

    @flow.task(map={"line": "parse"})
    def count(line: str, url: str) -> int: ...

    graph = flow.validate()
    assert {node.name: node.upstreams for node in graph.nodes} == {
        "fetch": (), "log": (), "parse": ("fetch", "log"), "count": ("parse",),
    }  # fmt: skip
    assert {name: spec.tasks for name, spec in graph.inputs.items()} == {
        "url": ("fetch", "count"),
        "strict": ("parse",),
    }
    assert graph.leaves == ("count",)
    assert graph.by_name["count"].kind == "map"


def test_a_task_stays_callable() -> None:
    """The decorator returns a Task that calls the function, as a unit test wants it."""
    flow = Workflow("flow")

    @flow.task(meta={"role": "adder"})
    def add(a: int, b: int) -> int:
        return a + b

    assert isinstance(add, Task)
    assert add(1, b=2) == 3


def test_names_may_refer_forward_until_the_workflow_is_frozen() -> None:
    """Validation is at first use; after it nothing can be added."""
    flow = Workflow("flow")
    flow.task(_nothing, name="b", after="a")
    flow.task(_nothing, name="a")
    assert [node.name for node in flow.validate().nodes] == ["a", "b"]
    with pytest.raises(WorkflowError, match="frozen by its first use"):
        flow.task(_nothing, name="c")


def bad(sentence: str) -> Any:
    return pytest.raises(WorkflowError, match=sentence)


def test_a_cycle_is_spelled_out() -> None:
    """The error spells a cycle in the direction of the data, from a name back to itself."""
    with bad("workflow 'flow' has a cycle: a -> b -> c -> a"):
        flow_of(start=[], a=["c", "start"], b=["a"], c=["b"], end=["c"]).validate()


def test_a_task_on_itself_is_a_cycle_too() -> None:
    """A parameter of the task's own name."""
    flow = Workflow("flow")

    @flow.task
    def loop(loop: int) -> int: ...

    with bad("task 'loop': it depends on itself"):
        flow.validate()


def test_an_unknown_upstream_is_named_with_the_nearest_known_one() -> None:
    """An unknown name in ``after``, ``needs`` or ``map`` is refused with the nearest known one."""
    with bad(r"task 'b': after names 'fetsch', which is not a task of this workflow, did you mean 'fetch'\?"):
        flow_of(fetch=[], b=["fetsch"]).validate()
    for options in ({"needs": {"x": "nope"}}, {"map": {"x": "nope"}}, {"map": "x"}):
        flow = Workflow("flow")
        flow.task(lambda x: x, name="b", **options)  # type: ignore[arg-type]
        with bad("task 'b': (needs|map) names '(nope|x)', which is not a task of this workflow"):
            flow.validate()


def test_a_task_of_another_workflow_is_unknown_here() -> None:
    """A task of another workflow is refused even if a task of its name exists here."""
    other = Workflow("other")
    stranger = other.task(_nothing, name="a")
    flow = flow_of("a")
    flow.task(_nothing, name="b", after=stranger)
    with bad("after names 'a', which is not a task of this workflow"):
        flow.validate()


def test_mistakes_in_the_parts_are_told_at_once() -> None:
    """Duplicates, reserved and malformed names, options out of range, an empty workflow."""
    flow = flow_of("a")
    with bad("there are two tasks named 'a'"):
        flow.task(_nothing, name="a")
    with bad("the task name 'ctx' is reserved"):
        flow.task(_nothing, name="ctx")
    with bad("'a b' is not a valid task name"):
        flow.task(_nothing, name="a b")
    with bad("'a\\[0\\]' is not a valid task name"):
        flow.task(_nothing, name="a[0]")
    for limit in (0, -1, True, 1.5):
        with bad("concurrency of task 'c' must be a whole number from 1"):
            flow.task(_nothing, name="c", concurrency=limit)  # type: ignore[arg-type]
    with bad("on_upstream_failure of task 'c' must be 'skip' or 'run', not 'ignore'"):
        flow.task(_nothing, name="c", on_upstream_failure="ignore")  # type: ignore[arg-type]
    with bad("meta of task 'c' is not JSON"):
        flow.task(_nothing, name="c", meta={"x": {1, object()}})
    with bad("is not a valid workflow name"):
        Workflow("no spaces")
    with bad("has 0 tasks"):
        Workflow("empty").validate()
    with pytest.raises(TypeError, match=r"flow\.task has no option 'retries', did you mean 'retry'\?"):
        flow.task(_nothing, name="c", retries=3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"flow\.task has no option 'colour'; its options are name, after"):
        flow.task(_nothing, name="c", colour=3)  # type: ignore[call-overload]


def test_parameters_that_cannot_be_bound_are_refused() -> None:
    """*args, positional-only, needs and map of no parameter, an async condition, map over two."""
    for function, options, sentence in (
        (lambda *args: 0, {}, "parameter '\\*args' cannot be bound by name"),
        (lambda x, /: 0, {}, "parameter 'x' cannot be bound by name"),
        (lambda: 0, {"needs": {"x": "a"}}, "needs binds 'x', which is not a parameter of its body"),
        (lambda: 0, {"map": "a"}, "map binds 'a', which is not a parameter of its body"),
        (lambda: 0, {"when": _nothing}, "its condition is async"),
        (lambda x, y: 0, {"map": {"x": "a", "y": "a"}}, "map takes one parameter, not 2"),
    ):
        flow = flow_of("a")
        flow.task(function, name="b", **options)  # type: ignore[arg-type]
        with bad(f"task 'b': .*{sentence}"):
            flow.validate()


def test_a_default_that_is_not_json_is_refused() -> None:
    """It could not be shown, stored or sent."""
    flow = Workflow("flow")
    marker = object()
    flow.task(lambda x=marker: x, name="a")
    with bad("the default of parameter 'x' of task 'a' is not JSON: object"):
        flow.validate()


def test_two_tasks_that_disagree_about_an_input_are_named() -> None:
    """One input has one type."""
    flow = Workflow("flow")

    @flow.task
    def a(n: int) -> None: ...

    @flow.task
    def b(n: str) -> None: ...

    with bad("the run input 'n' is int for task 'a' but str for task 'b'"):
        flow.validate()


class Options(BaseModel):
    depth: int = 1
    tags: list[str] = []


@dataclass
class Point:
    x: int


def test_input_is_validated_by_type_and_arrives_as_that_type() -> None:
    """pydantic models, dataclasses and plain types; every problem is listed with task and expectation."""
    flow = Workflow("flow")

    @flow.task
    def a(options: Options, point: Point, names: list[str] | None = None) -> None: ...

    graph = flow.validate()
    values = graph.validate_input({"options": {"depth": "2"}, "point": {"x": 1}})
    assert values == {"options": Options(depth=2), "point": Point(1)}
    with pytest.raises(InputError) as caught:
        graph.validate_input({"options": {"depth": "deep"}, "nams": []})
    assert [problem["input"] for problem in caught.value.problems] == ["nams", "options", "point"]
    message = str(caught.value)
    assert "'nams' is not an input of this workflow, did you mean 'names'?" in message
    assert (
        "the input 'options' of task 'a' does not fit (expected Options): at depth: Input should be a valid" in message
    )
    assert "the input 'point' of task 'a' is missing (expected Point)" in message
    with pytest.raises(InputError, match="must be an object, not a list"):
        graph.validate_input([])


def test_text_input_is_json_where_the_type_takes_it_else_the_text() -> None:
    """key=value on a command line."""
    flow = Workflow("flow")

    @flow.task
    def a(n: int, name: str, tags: list[str], any: Any, maybe: str | None = "x") -> None: ...

    parsed = flow.validate().parse_input({"n": "5", "name": "5", "tags": '["a"]', "any": "[1]", "maybe": "null"})
    assert parsed == {"n": 5, "name": "5", "tags": ["a"], "any": [1], "maybe": None}


async def test_text_input_is_validated_once_on_its_way_to_the_body() -> None:
    """What the command line gives is checked, and passed on as it was: no validator sees its own result."""
    flow = Workflow("percent")

    @flow.task
    async def a(share: Annotated[float, AfterValidator(lambda v: v / 100)]) -> float:
        return share

    parsed = flow.validate().parse_input({"share": "50"})
    assert parsed == {"share": 50}
    async with Engine() as engine:
        assert await (await engine.start(flow, parsed)) == {"a": 0.5}
    with pytest.raises(InputError, match="'share' of task 'a' does not fit"):
        flow.validate().parse_input({"share": "half"})


def test_the_input_schema_is_json_schema() -> None:
    """The schema has definitions, defaults and which inputs are required."""
    flow = Workflow("flow")

    @flow.task
    def a(options: Options, n: int = 3) -> None: ...

    schema = flow.validate().input_schema
    assert schema["required"] == ["options"]
    assert schema["properties"]["n"] == {"type": "integer", "default": 3}
    assert schema["properties"]["options"] == {"$ref": "#/$defs/Options"}
    assert schema["$defs"]["Options"]["properties"]["depth"]["type"] == "integer"
    assert schema["additionalProperties"] is False


def test_the_fingerprint_changes_with_the_shape_and_not_with_the_order_of_definition() -> None:
    """Recovery compares it."""
    one = flow_of(a=[], b=["a"]).validate().fingerprint
    assert one == flow_of("b", "a", b=["a"]).validate().fingerprint
    assert one != flow_of(a=[], b=[]).validate().fingerprint


def test_a_task_is_described_with_its_place_its_condition_and_its_group() -> None:
    """The group is the innermost one that names the task itself; it changes nothing else, not even the fingerprint."""

    def workflow() -> Workflow:
        flow = Workflow("grouped")
        for name in ("last", "left", "right", "alone", "first"):
            flow.task(lambda: None, name=name, when=(lambda: True) if name == "alone" else None)
        return flow

    def group(kind: str, index: int, total: int) -> dict[str, Any]:
        return {"kind": kind, "index": index, "total": total}

    flow = workflow()
    flow.sequence("first", flow.parallel("left", "right"), flow.sequence("last"))
    tasks = {task["id"]: task for task in flow.validate().describe()["tasks"]}
    assert [task["place"] for task in tasks.values()] == [0, 1, 2, 3, 4]
    assert list(tasks) == ["alone", "first", "left", "right", "last"]
    assert {id: task.get("group") for id, task in tasks.items()} == {
        "alone": None,
        "first": group("sequence", 0, 3),
        "left": group("parallel", 0, 2),
        "right": group("parallel", 1, 2),
        "last": group("sequence", 0, 1),
    }
    assert [id for id, task in tasks.items() if "when" in task] == ["alone"]
    grouped, plain = workflow(), workflow()
    grouped.parallel("first", "last")
    assert grouped.validate().fingerprint == plain.validate().fingerprint
    plain.parallel("first", "last")  # too late to change what runs have been started with
    assert "group" not in plain.validate().by_name["first"].describe()


def test_mermaid_shows_tasks_maps_and_conditions() -> None:
    """Mapped tasks are doubled, conditional edges dashed."""
    flow = Workflow("flow")
    flow.task(lambda: [1], name="items")
    flow.task(lambda items: items, name="each", map="items")
    flow.task(lambda each: each, name="sum", when=lambda each: bool(each))
    assert flow.validate().mermaid().splitlines() == [
        "flowchart TD",
        '    t0["items"]',
        '    t1[["each"]]',
        '    t2["sum"]',
        "    t0 -->|each| t1",
        "    t1 -.-> t2",
    ]


def test_run_runs_to_the_end_without_a_loop() -> None:
    """flow.run is for scripts; inside a loop it says what to do."""
    flow = Workflow("flow")
    flow.task(lambda n: n + 1, name="inc")
    assert flow.run({"n": 1}) == {"inc": 2}


async def test_run_inside_a_loop_says_what_to_do_there() -> None:
    """It cannot block the loop it is on."""
    with pytest.raises(RuntimeError, match=r"await engine\.start"):
        flow_of("a").run()


def test_errors_survive_pickling_with_their_ids() -> None:
    """A body may run in another process."""
    kinds = [
        kind for kind in vars(reactor.errors).values() if isinstance(kind, type) and issubclass(kind, ReactorError)
    ]
    assert len(kinds) > 15
    for kind in kinds:
        error = pickle.loads(pickle.dumps(kind("a sentence", run_id="r", task_id="t")))
        assert (type(error), str(error), error.run_id, error.task_id) == (kind, "a sentence", "r", "t")
