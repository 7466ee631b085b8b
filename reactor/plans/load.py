"""Loads a plan: a JSON document whose tasks name registered tools becomes a ``Workflow``.

    {"tasks": [
        {"id": "list", "tool": "files.list", "input": {"folder": "docs"}},
        {"id": "count", "tool": "text.count", "input": {"files": "$list.files"}},
        {"id": "report", "tool": "report", "input": {"counts": "$count"}, "depends_on": ["list"]}
    ]}

A reference such as ``$list.files`` (``definition.references``) makes one task depend on another; ``depends_on`` adds
dependencies without data. Anything wrong with a document raises PlanError before anything starts. The value behind a
reference is checked when the run has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import orjson
from pydantic import ValidationError

from reactor.bounds import REFERENCE_CHARS
from reactor.definition.binding import MISSING, checker_for
from reactor.definition.names import did_you_mean
from reactor.definition.references import fill_references, parse_reference
from reactor.definition.workflow import Workflow
from reactor.errors import WorkflowError
from reactor.events.values import describe_error, short_repr
from reactor.plans.document import (
    Location,
    PlanShape,
    Problem,
    TaskShape,
    as_written,
    check_json,
    fail,
    parse_plan,
    raise_first,
    rename_members,
    shape_of,
)
from reactor.plans.tools import Tool, tools_by_name
from reactor.plans.tools import tools as registered

__all__ = ["Tools", "load_plan", "parse_plan"]

Tools = Mapping[str, Tool[..., Any]] | Iterable[Tool[..., Any]]

_TYPE_PROBLEMS = 3
"""How many type errors of one value are reported."""


def load_plan(document: object, tools: Tools | None = None) -> Workflow:
    """The frozen workflow that a document describes; raises PlanError with up to 20 problems and their places.

    ``tools``: the tools it may name; None for all registered ones. ``workflow.plan`` is the part of the document that
    defines it, each member under its own name, and loads as the same workflow. The members ``run_id``, ``meta`` and
    ``budget`` are only checked: pass them to ``engine.start``.
    """
    check_json(document)
    document, written = rename_members(document)
    shape = shape_of(document, written)
    known = _by_name(tools)
    raise_first(as_written(_problems(shape, known), written))
    plan = _plan_of(cast("dict[str, Any]", document))
    return _workflow(shape, plan, known)


def _by_name(tools: Tools | None) -> Mapping[str, Tool[..., Any]]:
    if tools is None:
        return registered()
    if isinstance(tools, Mapping):
        return cast("Mapping[str, Tool[..., Any]]", tools)
    return tools_by_name(tools)


def _plan_of(document: dict[str, Any]) -> dict[str, Any]:
    """A copy of the members that define the workflow, without those that are null."""
    copy: dict[str, Any] = orjson.loads(orjson.dumps(document))
    tasks = [{name: value for name, value in task.items() if value is not None} for task in copy["tasks"]]
    return {"tasks": tasks} if copy.get("name") is None else {"name": copy["name"], "tasks": tasks}


def _workflow(shape: PlanShape, plan: dict[str, Any], tools: Mapping[str, Tool[..., Any]]) -> Workflow:
    flow = Workflow(shape.name or "plan")
    flow.plan = plan
    places = {task.id: number for number, task in enumerate(shape.tasks)}
    try:
        for task, written in zip(shape.tasks, plan["tasks"], strict=True):
            _add(flow, task, written.get("input", {}), tools[task.tool])
        flow.validate()
    except WorkflowError as error:  # a cycle, a reserved name, a tool whose executor does not fit
        where = () if error.task is None else ("tasks", places[error.task])
        fail(Problem(where, f"cannot run: {error}"))
    return flow


def _add(flow: Workflow, shape: TaskShape, given: dict[str, Any], tool: Tool[..., Any]) -> None:
    task = flow.task(
        tool.function,
        name=shape.id,
        after=shape.depends_on or (),
        retry=shape.retry,
        timeout=shape.timeout,
        executor=tool.executor,
        limits=tool.limits,
        concurrency=tool.concurrency,
        on_upstream_failure=shape.on_upstream_failure or "skip",
        meta=shape.meta or {},
    )
    task.tool = shape.tool
    task.given = given


# --- problems of tasks that have the right shape -----------------------------------------------------------------


def _problems(shape: PlanShape, tools: Mapping[str, Tool[..., Any]]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, task in enumerate(shape.tasks):
        before = first.setdefault(task.id, number)
        if before != number:
            yield Problem(("tasks", number, "id"), f"is {task.id!r}, which is already the id of tasks[{before}]")
    for number, task in enumerate(shape.tasks):
        where = ("tasks", number)
        yield from _dependency_problems((*where, "depends_on"), task, first)
        tool = tools.get(task.tool)
        if tool is None:
            yield Problem(
                (*where, "tool"), f"is {short_repr(task.tool)}, which is not a known tool{_tool_hint(task.tool, tools)}"
            )
        yield from _input_problems((*where, "input"), task, tool, first)


def _tool_hint(name: str, tools: Mapping[str, Tool[..., Any]]) -> str:
    few = sorted(tools)[:10]
    more = " and more" if len(tools) > len(few) else ""
    return did_you_mean(name, tools) or f"; known tools: {', '.join(few) or 'none'}{more}"


def _dependency_problems(where: Location, task: TaskShape, ids: Mapping[str, int]) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, name in enumerate(task.depends_on or ()):
        if name in seen:
            yield Problem((*where, number), f"is {short_repr(name)} for the second time")
        elif (problem := _upstream_problem(name, task, ids)) is not None:
            yield Problem((*where, number), f"is {short_repr(name)}, {problem}")
        seen.add(name)


def _upstream_problem(name: str, task: TaskShape, ids: Mapping[str, int]) -> str | None:
    if name == task.id:
        return "the task itself"
    return None if name in ids else f"which is not a task of this plan{did_you_mean(name, ids)}"


def _input_problems(
    where: Location, task: TaskShape, tool: Tool[..., Any] | None, ids: Mapping[str, int]
) -> Iterator[Problem]:
    given = task.input or {}
    parameters = {name: (default, kind) for name, default, kind in tool.signature.parameters} if tool else {}
    for name, value in given.items():
        place = (*where, name)
        if tool is not None and name not in parameters:
            takes = did_you_mean(name, parameters) or f"; it takes {', '.join(parameters) or 'none'}"
            yield Problem(place, f"is not an input of tool {tool.name!r}{takes}")
            continue
        strings = list(_strings(place, value))
        wrong = [Problem(at, problem) for at, text in strings if (problem := _reference_problem(text, task, ids))]
        yield from wrong
        if tool is not None and not wrong and all(parse_reference(text) is None for _, text in strings):
            yield from _type_problems(place, fill_references(value, {}), parameters[name][1], tool.name)
    for name, (default, _) in parameters.items():
        if name not in given and default is MISSING:
            yield Problem((*where, name), f"is missing: tool {task.tool!r} needs it")


def _strings(where: Location, value: Any) -> Iterator[tuple[Location, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, list):
        for number, item in enumerate(cast("list[Any]", value)):
            yield from _strings((*where, number), item)
    elif isinstance(value, dict):
        for name, item in cast("dict[str, Any]", value).items():
            yield from _strings((*where, name), item)


def _reference_problem(text: str, task: TaskShape, ids: Mapping[str, int]) -> str | None:
    # before it is parsed: a regular expression keeps all threads waiting
    if len(text) > REFERENCE_CHARS and text.startswith("$") and not text.startswith("$$"):
        return f"is a reference of {len(text):,} characters, the limit is {REFERENCE_CHARS}"
    try:
        reference = parse_reference(text)
    except ValueError as error:
        return f"is not allowed: {error}"
    if reference is None:
        return None
    problem = _upstream_problem(reference.task, task, ids)
    return None if problem is None else f"refers to {reference.task!r}, {problem}"


def _type_problems(where: Location, value: Any, annotation: Any, tool: str) -> Iterator[Problem]:
    checker = checker_for(annotation)
    if checker is None:
        return
    try:
        checker.check(value)
    except ValidationError as error:
        for one in error.errors(include_url=False)[:_TYPE_PROBLEMS]:
            message = one["msg"][:1].lower() + one["msg"][1:]
            yield Problem(
                (*where, *one["loc"]), f"is {short_repr(one['input'])}, which tool {tool!r} does not accept: {message}"
            )
    except Exception as error:  # a validator of the tool's own types may raise anything
        described = describe_error(error)
        yield Problem(where, f"cannot be checked for tool {tool!r}: {described['type']}: {described['message']}")
