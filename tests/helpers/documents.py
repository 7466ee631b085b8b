"""Tools and documents for the tests of DAGs as data: good ones, and a table of bad ones."""

from __future__ import annotations

import asyncio
import enum
import os
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Field, field_validator

from reactor import Context
from reactor.plans.tools import Tool


class Point(BaseModel):
    x: int
    y: int = 0


class Grumpy(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def refuse(cls, n: int) -> int:
        raise KeyError("never")


@dataclass
class Pair:
    left: str
    right: str


def echo(value: Any = None) -> Any:
    """Gives back what it is given."""
    return value


async def add(a: int, b: int = 1) -> int:
    return a + b


def fetch(url: str, limit: int = 10) -> dict[str, Any]:
    return {"url": url, "limit": limit, "page": {"items": [{"name": "first"}, {"name": "second"}], "total": 2}}


def total(numbers: list[int]) -> int:
    return sum(numbers)


def move(to: Point, by: Literal["foot", "bus"] = "foot") -> dict[str, Any]:
    return {"x": to.x, "y": to.y, "by": by, "type": type(to).__name__}


def rate(stars: Annotated[int, Field(ge=1, le=5)], on: date | None = None) -> int:
    return stars


def grump(value: Grumpy) -> None: ...


def pair() -> Pair:
    return Pair("l", "r")


def fail(message: str = "told to fail") -> None:
    raise ValueError(message)


async def wait() -> None:
    await asyncio.sleep(60)


async def whoami(ctx: Context, greeting: str = "I am") -> str:
    await ctx.progress(0.5)
    return f"{greeting} {ctx.task_id}"


def in_thread(c: Context) -> str:
    c.progress(0.5)
    return c.task_id


def nothing() -> None: ...


def pid(of: str) -> dict[str, Any]:
    """Runs in a process of its own, see ``test_spec``."""
    return {"of": of, "pid": os.getpid()}


FUNCTIONS = (add, echo, fail, fetch, grump, in_thread, move, nothing, pair, rate, total, wait, whoami)
TOOLS = {function.__name__: Tool(function) for function in FUNCTIONS}


def task(id: Any = "a", tool: Any = "echo", input: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": tool, "input": {} if input is None else input, **more}


def plan(*tasks: Any, **more: Any) -> dict[str, Any]:
    return {"tasks": list(tasks), **more}


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


GOOD: dict[str, Any] = plan(
    task("list", "fetch", {"url": "http://example", "limit": 3}),
    task("total", "add", {"a": "$list.page.total", "b": 40}, depends_on=["list"], retry=2, timeout=5),
    task("name", "echo", {"value": {"first": "$list.page.items.0.name", "price": "$$5"}}, meta={"title": "Name"}),
    task("all", "echo", {"value": ["$total", "$name.first", "$list.limit"]}, on_upstream_failure="skip"),
    name="good",
    meta={"asked": "by a test"},
)
GOOD_OUTPUT = {"all": [42, "first", 3]}


class Bad(NamedTuple):
    """A document, where its first problem is, and a part of what is said of it."""

    document: Any
    place: str
    fragment: str


def with_task(place: str, fragment: str, **members: Any) -> Bad:
    """A bad member of the only task."""
    return Bad(plan({**task(), **members}), f"tasks[0].{place}" if place else "tasks[0]", fragment)


def with_value(value: Any, fragment: str, place: str = "", tool: str = "echo", name: str = "value") -> Bad:
    """A bad value of an input."""
    return Bad(plan(task("a", tool, {name: value})), f"tasks[0].input.{name}{place}", fragment)


def with_member(name: str, value: Any, fragment: str) -> Bad:
    """A bad member beside good tasks."""
    return Bad(plan(task(), **{name: value}), name, fragment)


ring = [task(f"t{i}", "echo", {"value": f"$t{(i + 1) % 50}"}) for i in range(50)]

NO_PLANS = [Bad(value, "", f"must be an object, not {kind}") for value, kind in (
    ([], "a list"), ([1], "a list"), ("plan", "a string"), ("", "a string"), (1, "a number"), (1.5, "a number"),
    (None, "null"), (True, "true"), (False, "false"), ([{"tasks": []}], "a list"),
)]  # fmt: skip

NO_TASKS = [
    Bad({}, "tasks", "is missing"),
    Bad({"name": "x"}, "tasks", "is missing"),
    Bad({"tasks": None}, "tasks", "must be a list, not null"),
    Bad({"tasks": {}}, "tasks", "must be a list, not an object"),
    Bad({"tasks": {"a": task()}}, "tasks", "must be a list, not an object"),
    Bad({"tasks": "a"}, "tasks", "must be a list, not a string"),
    Bad({"tasks": 0}, "tasks", "must be a list, not a number"),
    Bad({"tasks": True}, "tasks", "must be a list, not true"),
    Bad({"tasks": []}, "tasks", "has no task"),
    Bad(plan(*[task(f"t{i}") for i in range(1_001)]), "tasks", "the limit is 1,000"),
    Bad(plan(None), "tasks[0]", "must be an object, not null"),
    Bad(plan([]), "tasks[0]", "must be an object, not a list"),
    Bad(plan("a"), "tasks[0]", "must be an object, not a string"),
    Bad(plan(1), "tasks[0]", "must be an object, not a number"),
    Bad(plan(task(), task("b"), 3), "tasks[2]", "must be an object, not a number"),
    Bad(plan({}), "tasks[0].id", "is missing"),
    Bad(plan({"id": "a"}), "tasks[0].tool", "is missing"),
    Bad(plan({"tool": "echo"}), "tasks[0].id", "is missing"),
    Bad(plan(task(), {"id": "b"}), "tasks[1].tool", "is missing"),
]

UNKNOWN_MEMBERS = [
    *(with_member(name, 1, "is not a member of a plan; its members are tasks, name") for name in (
        "task", "Tasks", "version", "input", "workflow", "tools", "timeout", "tasks_", "a-b",
    )),
    *(with_task(name, "is not a member of a task; its members are id, tool, input", **{name: 1}) for name in (
        "name", "inputs", "after", "needs", "when", "map", "executor", "cache", "limits", "function", "given", "code",
        "depends-on", "ID", "concurrency", "__class__", "depends",
    )),
    Bad(plan(task(), **{"$schema": 1}), "['$schema']", "is not a member of a plan"),
    Bad(plan(task(), **{"": 1}), "['']", "is not a member of a plan"),
    Bad(plan(task(), **{"x" * 70: 1}), f"['{'x' * 60}']", "is not a member of a plan"),
    Bad(plan({**task(), "a b": 1}), "tasks[0]['a b']", "is not a member of a task"),
]  # fmt: skip

BAD_IDS = [
    *(with_task("id", f"must be a string, not {kind}", id=value) for value, kind in (
        (None, "null"), (1, "a number"), (True, "true"), (["a"], "a list"), ({"a": 1}, "an object"), (1.0, "a number"),
    )),
    *(with_task("id", "but must be one of A-Z a-z _", id=value) for value in (
        "", " ", "a b", "a.b", ".", "a.", "1", "1a", "-a", "~a", "a[0]", "a]", "$a", "a$", "ä", "a\n", "\na", "a/b",
        "a" * 65, "a" * 10_000, "\0", "a\0", "a:b", "{a}", "a'b", 'a"b', "\N{PILE OF POO}", "a%20",
    )),
    with_task("", "is reserved", id="run"),
    with_task("", "is reserved", id="ctx"),
    Bad(plan(task("a"), task("a")), "tasks[1].id", "is 'a', which is already the id of tasks[0]"),
    Bad(plan(task("a"), task("b"), task("b")), "tasks[2].id", "which is already the id of tasks[1]"),
    Bad(plan(*[task("same") for _ in range(100)]), "tasks[1].id", "which is already the id of tasks[0]"),
]  # fmt: skip

BAD_TOOLS = [
    *(with_task("tool", f"must be a string, not {kind}", tool=value) for value, kind in (
        (None, "null"), (1, "a number"), (["echo"], "a list"), ({}, "an object"), (False, "false"),
    )),
    with_task("tool", "is not a known tool, did you mean 'echo'?", tool="echoo"),
    with_task("tool", "is not a known tool, did you mean 'fetch'?", tool="fetsch"),
    with_task("tool", "is not a known tool; known tools: add, echo", tool=""),
    *(with_task("tool", "is not a known tool", tool=value) for value in (
        "os.system", "__import__", "eval", "builtins.exec", "Echo", "echo ", "echo()", "echo.__call__", "$a",
        "e" * 9_999, "{0.__class__}", "%s", "reactor.tools.tool", "../echo", "\0",
    )),
]  # fmt: skip

BAD_INPUTS = [
    *(with_task("input", f"must be an object, not {kind}", input=value) for value, kind in (
        ([], "a list"), ("x", "a string"), (1, "a number"), (True, "true"),
    )),
    with_task("input.val", "is not an input of tool 'echo', did you mean 'value'?", input={"val": 1}),
    with_task("input.x", "is not an input of tool 'nothing'; it takes none", tool="nothing", input={"x": 1}),
    with_task("input.ctx", "is not an input of tool 'whoami'", tool="whoami", input={"ctx": 1}),
    with_task("input.c", "is not an input of tool 'in_thread'", tool="in_thread", input={"c": None}),
    with_task("input.self", "is not an input", input={"self": 1}),
    with_task("input.__class__", "is not an input", input={"__class__": 1}),
    with_task("input['']", "is not an input", input={"": 1}),
    with_task("input.url", "is missing: tool 'fetch' needs it", tool="fetch"),
    with_task("input.url", "is missing: tool 'fetch' needs it", tool="fetch", input={"limit": 1}),
    with_task("input.url", "is missing", tool="fetch", input=None),
    with_task("input.a", "is missing", tool="add", input={"b": 1}),
    with_value(1, "valid string", tool="fetch", name="url"),
    with_value(None, "valid string", tool="fetch", name="url"),
    with_value(["http://"], "valid string", tool="fetch", name="url"),
    with_value("many", "is 'many', which tool 'add' does not accept", tool="add", name="a"),
    with_value("$$1", "is '$1', which tool 'add' does not accept", tool="add", name="a"),
    with_value(1.5, "fractional part", tool="add", name="a"),
    with_value(None, "valid integer", tool="add", name="a"),
    with_value({}, "valid integer", tool="add", name="a"),
    with_value(10**18, "less than or equal to 5", tool="rate", name="stars"),
    with_value(0, "greater than or equal to 1", tool="rate", name="stars"),
    with_value(1, "valid list", tool="total", name="numbers"),
    with_value("123", "valid list", tool="total", name="numbers"),
    with_value({"0": 1}, "valid list", tool="total", name="numbers"),
    with_value([1, "x"], "is 'x', which tool 'total' does not accept", "[1]", tool="total", name="numbers"),
    with_value([1, 2, [3]], "valid integer", "[2]", tool="total", name="numbers"),
    with_value({"y": 1}, "field required", ".x", tool="move", name="to"),
    with_value({"x": "here"}, "valid integer", ".x", tool="move", name="to"),
    with_value([1, 2], "dictionary", tool="move", name="to"),
    Bad(plan(task("a", "move", {"to": {"x": 1}, "by": "car"})), "tasks[0].input.by", "'foot' or 'bus'"),
    Bad(plan(task("a", "rate", {"stars": 1, "on": "tomorrow"})), "tasks[0].input.on", "valid date"),
    with_value({"n": 1}, "cannot be checked for tool 'grump': KeyError", tool="grump"),
]  # fmt: skip

BAD_ARGUMENTS = [
    Bad(plan({"id": "a", "tool": "echo", "arguments": 1}), "tasks[0].arguments", "must be an object, not a number"),
    Bad(plan({"id": "a", "tool": "echo", "arguments": {"val": 1}}), "tasks[0].arguments.val", "did you mean 'value'?"),
    Bad(plan({"id": "a", "tool": "fetch", "arguments": {}}), "tasks[0].arguments.url", "is missing"),
    Bad(plan({"id": "a", "tool": "echo", "arguments": {"value": ["$b"]}}), "tasks[0].arguments.value[0]", "refers to"),
    with_task("arguments", "is another name of input, which the task has too", arguments={}, input={}),
]

BAD_REFERENCES = [
    *(with_value(text, "is not a reference: write $task or $task.path") for text in (
        "$", "$ a", "$.", "$.a", "$1", "$5.00", "$a.", "$a..b", "$a.b.", "$a[0]", "$a b", "$(a)", "${a}", "${a.b}",
        "$a/b", "$-a", "$ä", "$a\n", "$" + "a" * 65, "$" + "." * 499, "$\0", "$a$b", "$a|b", "$a()", "$ $a",
    )),
    *(with_value(text, "refers to 'a', the task itself") for text in ("$a", "$a.b", "$a.b.0", "$a.__class__", "$a.$a")),
    *(with_value(text, "which is not a task of this plan") for text in (
        "$b", "$b.a", "$A", "$__class__", "$__init__.__globals__", "$run", "$ctx", "$self.x", "$aa",
    )),
    with_value(["x", {"deep": ["$b"]}], "refers to 'b'", "[1].deep[0]"),
    with_value({"a b": "$b"}, "refers to 'b'", "['a b']"),
    with_value("$a." + "b." * 300 + "b", "is a reference of 604 characters, the limit is 500"),
    with_value("$" + "." * 500, "is a reference of 501 characters, the limit is 500"),
    Bad(plan(task("first"), task("b", "echo", {"value": "$frist"})), "tasks[1].input.value", "did you mean 'first'?"),
    Bad(plan(task("a", "fetsch", {"url": "$b"})), "tasks[0].tool", "did you mean"),
]  # fmt: skip

BAD_DEPENDENCIES = [
    *(with_task("depends_on", f"must be a list, not {kind}", depends_on=value) for value, kind in (
        ("b", "a string"), (1, "a number"), ({"b": 1}, "an object"), (True, "true"),
    )),
    with_task("dependsOn", "must be a list, not a string", dependsOn="b"),
    with_task("dependsOn[0]", "is 'b', which is not a task of this plan", dependsOn=["b"]),
    with_task("dependsOn", "is another name of depends_on, which the task has too", dependsOn=["b"], depends_on=["b"]),
    with_task("depends_on[0]", "must be a string, not a number", depends_on=[1]),
    with_task("depends_on[0]", "must be a string, not null", depends_on=[None]),
    with_task("depends_on[0]", "must be a string, not a list", depends_on=[["b"]]),
    with_task("depends_on[0]", "is 'b', which is not a task of this plan", depends_on=["b"]),
    with_task("depends_on[0]", "is '', which is not a task", depends_on=[""]),
    with_task("depends_on[0]", "is '$b', which is not a task", depends_on=["$b"]),
    with_task("depends_on[0]", "is 'a', the task itself", depends_on=["a"]),
    Bad(plan(task(), task("b", depends_on=["a", "a"])), "tasks[1].depends_on[1]", "is 'a' for the second time"),
    Bad(plan(task(), task("b", depends_on=["a", "c"])), "tasks[1].depends_on[1]", "is 'c'"),
    Bad(plan(task(depends_on=["b"]), task("b", depends_on=["a"])), "tasks[0]", "has a cycle: a -> b -> a"),
    Bad(plan(task("a", "echo", {"value": "$b"}), task("b", "echo", {"value": "$a"})), "tasks[0]", "cycle: a -> b -> a"),
    Bad(plan(task("a", "echo", {"value": "$b"}), task("b", depends_on=["a"])), "tasks[0]", "has a cycle"),
    Bad(plan(task("x"), task("b", depends_on=["c"]), task("c", depends_on=["b"])), "tasks[1]", "cycle: b -> c -> b"),
    Bad(plan(*ring), "tasks[0]", "has a cycle: t0 -> t49 -> t48"),
]  # fmt: skip

BAD_OPTIONS = [
    *(with_task("retry", "must be a whole number from 1", retry=value) for value in (0, -1, -(2**63))),
    *(with_task("retry", "must be a number of attempts or an object", retry=value) for value in ("3", True, 1.5, [3])),
    with_task("retry", "the limit is 1,000", retry=2**63 - 1),
    with_task("retry", "has no member 'retry_on'", retry={"attempts": 2, "retry_on": "ValueError"}),
    with_task("retry", "has no member '__class__'", retry={"__class__": 2}),
    with_task("retry", "delay of a Retry must be a number", retry={"delay": -1}),
    with_task("retry", "delay of a Retry must be a number", retry={"delay": "1"}),
    with_task("retry", "max_delay of a Retry", retry={"max_delay": 1e300}),
    with_task("retry", "backoff of a Retry", retry={"backoff": 0}),
    with_task("retry", "jitter of a Retry", retry={"jitter": 2}),
    with_task("retry", "attempts of a Retry", retry={"attempts": None}),
    *(with_task("timeout", "must be a number of seconds", timeout=value) for value in (0, -1, "1", True, [], 1e300)),
    *(with_task("on_upstream_failure", "but must be 'skip' or 'run'", on_upstream_failure=value) for value in (
        "", "Run", "fail", 1, True, ["run"], {},
    )),
    *(with_task("meta", "must be an object, not", meta=value) for value in ([], "x", 1, False)),
    with_task("meta", "the limit is 8,192", meta={"x": "y" * 9_000}),
    *(with_member("name", value, f"must be a string, not {kind}") for value, kind in ((1, "a number"), ([], "a list"))),
    *(with_member("name", value, "but must be 1 to 64 of A-Z") for value in ("", "a b", ".a", "a/b", "x" * 65, "ä")),
    *(with_member("budget", value, "a budget must be an object") for value in (1, "5", [], True)),
    with_member("budget", {"money": 1}, "a budget has no member 'money'"),
    with_member("budget", {"cost": -1}, "a cost must be a number from 0"),
    with_member("budget", {"cost": "free"}, "a cost must be a number from 0"),
    with_member("budget", {"cost": "NaN"}, "a cost must be a number from 0"),
    with_member("budget", {"cost": [1]}, "a cost must be a number from 0"),
    with_member("budget", {"tokens": 1.5}, "tokens of a Budget"),
    with_member("budget", {"tasks": "1"}, "tasks of a Budget"),
    with_member("budget", {"seconds": 0}, "seconds of a Budget"),
    with_member("budget", {"on_exceeded": "explode"}, "on_exceeded of a Budget"),
    with_member("budget", {"on_exceeded": []}, "on_exceeded of a Budget"),
    with_member("meta", {"x": "y" * 9_000}, "the limit is 8,192"),
    *(with_member("run_id", value, "not a valid run") for value in ("", ".", "..", "a b", "a/b", "x" * 65, "ä", "a\n")),
]  # fmt: skip

BAD_JSON = [
    Bad(plan(task("a", "echo", {"value": [0] * 100_000})), "", "has more than 100,000 values"),
    with_value(2**63, "is an integer beyond 64 bits"),
    with_value(-(2**63) - 1, "is an integer beyond 64 bits"),
    with_value(10**300, "is an integer beyond 64 bits"),
    with_value([0, {"n": 2**64}], "is an integer beyond 64 bits", "[1].n"),
    with_value(nested(30), "is nested more than 32 deep", "[0]" * 28),
    with_value(nested(200), "is nested more than 32 deep", "[0]" * 28),
    Bad(nested(40), "[0]" * 32, "is nested more than 32 deep"),
    with_task("retry", "is an integer beyond 64 bits", retry=2**70),
    with_member("budget", {"cost": 2**80}, "is an integer beyond 64 bits")._replace(place="budget.cost"),
]

BAD_DOCUMENTS: list[Bad] = [
    *NO_PLANS, *NO_TASKS, *UNKNOWN_MEMBERS, *BAD_IDS, *BAD_TOOLS, *BAD_INPUTS, *BAD_ARGUMENTS,
    *BAD_REFERENCES, *BAD_DEPENDENCIES,
    *BAD_OPTIONS, *BAD_JSON,
]  # fmt: skip
"""What JSON can carry."""


class Color(enum.StrEnum):
    RED = "red"


def itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def everywhere() -> list[Any]:
    """One list in very many places."""
    value: list[Any] = [1]
    for _ in range(25):
        value = [value] * 20
    return value


BAD_VALUES = [
    with_value(float("nan"), "is not a finite number"),
    with_value(float("inf"), "is not a finite number"),
    with_value("\ud800", "is not valid text: it has half of a surrogate pair"),
    with_value(["a\udfff"], "is not valid text", "[0]"),
    with_value({1: 2}, "has a key that is not a string: 1"),
    with_value({None: 2}, "has a key that is not a string: None"),
    with_value({"\ud800": 1}, "has a key that is not valid text: '\\ud800'"),
    with_value((1, 2), "is tuple, which is not JSON"),
    with_value({1, 2}, "is set, which is not JSON"),
    with_value(b"x", "is bytes, which is not JSON"),
    with_value(object(), "is object, which is not JSON"),
    with_value(Color.RED, "is Color, which is not JSON"),
    with_value(date(2024, 1, 1), "is date, which is not JSON"),
    with_value(itself(), "is nested more than 32 deep", "[0]" * 28),
    Bad(plan(task("a", "echo", {"value": everywhere()})), "", "has more than 100,000 values"),
    Bad(plan(task("a", "echo", {"value": "x" * 1_048_576})), "", "the limit is 1,048,576"),
    Bad({"tasks": (task(),)}, "tasks", "is tuple, which is not JSON"),
    Bad(object(), "", "is object, which is not JSON"),
    Bad({**plan(task()), 5: 1}, "", "has a key that is not a string: 5"),
]
"""What only Python can."""

BAD_TEXTS = [
    Bad("", "", "is not JSON"),
    Bad(" ", "", "is not JSON"),
    Bad("{", "", "line 1 column 2"),
    Bad('{"tasks":\n  nope}', "", "line 2 column"),
    Bad('{"tasks": [],}', "", "trailing comma"),
    Bad("{'tasks': []}", "", "is not JSON"),
    Bad('{"tasks": NaN}', "", "is not JSON"),
    Bad('{"tasks": [Infinity]}', "", "is not JSON"),
    Bad('{"tasks": 1e999}', "", "is not JSON"),
    Bad('{"name": "\\ud800"}', "", "is not JSON"),
    Bad(b'{"name": "\xff"}', "", "is not JSON"),
    Bad("\ud800", "", "is not JSON"),
    Bad("\ufeff{}", "", "is not JSON"),
    Bad("[" * 2_000, "", "is not JSON"),
    Bad("[" * 100 + "]" * 100, "", "is nested more than 32 deep"),
    Bad("9" * 200, "", "is an integer beyond 64 bits"),
    Bad('{"a": [1, 99999999999999999999]}', "a[1]", "is an integer beyond 64 bits"),
    Bad('{"tasks": [], "tasks": []}', "tasks", "appears twice"),
    Bad('{"tasks": [{"id": "a", "tool": "x", "id": "b"}]}', "tasks[0].id", "appears twice"),
    Bad(" " * 1_048_577, "", "the limit is 1,048,576"),
]
