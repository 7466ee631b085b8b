"""The first checks of a plan's document: it is JSON within bounds, and it has the shape of a plan.

Documents may come from strangers. Nothing here or in ``plans.load`` evaluates or imports anything they say, or uses it
as a format string.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Annotated, Any, Final, NamedTuple, NoReturn, cast

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from reactor import bounds
from reactor.definition.names import PLAN_TASK_ID_RULE, WORKFLOW_NAME_RULE
from reactor.definition.policy import Budget, Retry
from reactor.definition.task import OnUpstreamFailure
from reactor.errors import PlanError
from reactor.events.plain import INT64, depth_of, values_in
from reactor.events.values import clip, json_kind, short_repr
from reactor.requests import check_run_id, is_text, meta_size_problem, seconds_problem

Location = tuple[str | int, ...]
"""A place in a document: the member names and list indexes that lead to it."""

_MESSAGE_CHARS: Final = 500
_STEP_CHARS: Final = 60


class Problem(NamedTuple):
    """What is wrong at a location; ``message`` is the rest of a sentence: ``must be a string, not null``."""

    location: Location
    message: str


class _Duplicate:
    """Stands for the value of a member that a JSON object has twice."""


# --- problems as an error ---------------------------------------------------------------------------------------


def raise_first(problems: Iterable[Problem]) -> None:
    """Raises PlanError with the first 20 problems; does nothing if there are none."""
    found = list(islice(problems, bounds.PLAN_PROBLEMS))
    if found:
        fail(*found)


def fail(*problems: Problem) -> NoReturn:
    """Raises PlanError: its message names up to three problems, its ``problems`` has them all."""
    listed = [{"place": place_of(where), "message": clip(message, _MESSAGE_CHARS)} for where, message in problems]
    sentences = [f"{one['place'] or 'the plan'} {one['message']}" for one in listed[:3]]
    more = [f"and {len(listed) - 3} more"] if len(listed) > 3 else []
    raise PlanError("; ".join((*sentences, *more)), place=listed[0]["place"], problems=listed)


def place_of(location: Location) -> str:
    """A location as text, such as ``tasks[2].input.url``; empty for the document itself."""
    place = ""
    for step in location:
        if isinstance(step, int):
            place += f"[{step}]"
        elif step.isascii() and step.replace("-", "_").isidentifier() and len(step) <= _STEP_CHARS:
            place += f".{step}" if place else step
        else:
            place += f"[{short_repr(step)}]"
    return place


# --- JSON within bounds -----------------------------------------------------------------------------------------


def parse_plan(text: str | bytes) -> object:
    """The document in a JSON text; raises PlanError if it is not JSON (with line and column), or beyond a bound."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(raw) > bounds.PLAN_BYTES:
        fail(Problem((), f"has {len(raw):,} bytes, the limit is {bounds.PLAN_BYTES:,}"))
    if values_in(raw, bounds.PLAN_VALUES) > bounds.PLAN_VALUES:  # before they are made
        fail(_too_many_values())
    try:
        depth = depth_of(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        fail(Problem((), f"is not JSON: {error}"))
    if depth > bounds.PLAN_DEPTH:
        fail(Problem((), f"is nested more than {bounds.PLAN_DEPTH} deep"))
    # parsed again with the slower parser, because orjson hides two things: it rounds integers beyond 64 bits, and of
    # two members with one name it takes the last, where other readers may take the first
    document: object = json.loads(raw, object_pairs_hook=_members)
    check_json(document)
    return document


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found[name] = _Duplicate() if name in found else value
    return found


def check_json(document: object) -> None:
    """Raises PlanError if a document holds anything but plain JSON, or is beyond a bound."""
    raise_first(_json_problems(document))
    size = len(orjson.dumps(document))
    if size > bounds.PLAN_BYTES:
        fail(Problem((), f"has {size:,} bytes, the limit is {bounds.PLAN_BYTES:,}"))


def _json_problems(document: object) -> Iterator[Problem]:
    stack: list[tuple[object, Location]] = [(document, ())]
    seen = 0
    while stack:
        value, where = stack.pop()
        seen += 1
        problem = _json_problem(value, len(where))
        if problem is not None:
            yield Problem(where, problem)
            continue
        members = _members_of(value)
        # counted before they are put on the stack: in Python, one list may occur in very many places
        if seen + len(stack) + len(members) > bounds.PLAN_VALUES:
            yield _too_many_values()
            return
        stack.extend((member, (*where, step)) for step, member in reversed(members))


def _too_many_values() -> Problem:
    return Problem((), f"has more than {bounds.PLAN_VALUES:,} values")


def _members_of(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return list(cast("dict[str, Any]", value).items())
    return list(enumerate(cast("list[Any]", value))) if isinstance(value, list) else []


def _json_problem(value: Any, depth: int) -> str | None:
    kind = cast(object, type(value))  # exact types: the log would not bring back what a subclass adds
    if value is None or kind is bool:
        return None
    if kind is str:
        return None if is_text(value) else "is not valid text: it has half of a surrogate pair"
    if kind is int:
        return None if int(value) in INT64 else "is an integer beyond 64 bits; write it as a string to keep it exact"
    if kind is float:
        return None if math.isfinite(value) else "is not a finite number"
    if kind is list or kind is dict:
        too_deep = f"is nested more than {bounds.PLAN_DEPTH} deep"
        return too_deep if depth >= bounds.PLAN_DEPTH else _key_problem(value)
    return "appears twice" if kind is _Duplicate else f"is {type(value).__name__}, which is not JSON"


def _key_problem(value: Any) -> str | None:
    for key in cast("dict[Any, Any]", value) if isinstance(value, dict) else ():
        if type(key) is not str:
            return f"has a key that is not a string: {short_repr(key)}"
        if not is_text(key):
            return f"has a key that is not valid text: {short_repr(key)}"
    return None


# --- other names of members -------------------------------------------------------------------------------------

ALIASES: Final = {"dependsOn": "depends_on", "arguments": "input"}
"""Another name that a member of a task may have -> its name."""

Written = Mapping[tuple[int, str], str]
"""(place of the task, name of the member) -> the other name that the document has for it."""


def rename_members(document: object) -> tuple[object, Written]:
    """The document with each member under its name, and how the members were written; the document does not change.

    Raises PlanError for a task that has a member under both names. What is no plan is given back: its shape is checked
    after this.
    """
    given: Any = document
    plan = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    tasks: Any = plan.get("tasks")
    every = cast("list[Any]", tasks) if isinstance(tasks, list) else []
    listed = [(number, cast("dict[str, Any]", task)) for number, task in enumerate(every) if isinstance(task, dict)]
    raise_first(_named_twice(listed))
    names = [(number, alias) for number, task in listed for alias in ALIASES if alias in task]
    if not names:
        return document, {}
    renamed = {number: _rename(task) for number, task in listed}
    written = {(number, ALIASES[alias]): alias for number, alias in names if every[number][alias] is not None}
    return {**plan, "tasks": [renamed.get(number, task) for number, task in enumerate(every)]}, written


def _named_twice(tasks: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[Problem]:
    for number, task in tasks:
        for alias, name in ALIASES.items():
            if task.get(alias) is not None and task.get(name) is not None:
                yield Problem(("tasks", number, alias), f"is another name of {name}, which the task has too")


def _rename(task: dict[str, Any]) -> dict[str, Any]:
    given = {ALIASES[name]: value for name, value in task.items() if name in ALIASES and value is not None}
    return {name: value for name, value in task.items() if name not in ALIASES} | given


def as_written(problems: Iterable[Problem], written: Written) -> Iterator[Problem]:
    """The problems of a document whose members were renamed, each at the place where the document has it."""
    for where, message in problems:
        if len(where) > 2 and isinstance(where[1], int) and (alias := written.get((where[1], str(where[2])))):
            yield Problem((*where[:2], alias, *where[3:]), message)
        else:
            yield Problem(where, message)


# --- the shape --------------------------------------------------------------------------------------------------


def _check_id(id: str) -> str:
    if not bounds.PLAN_TASK_ID.fullmatch(id):
        raise ValueError(f"is {short_repr(id)}, but must be {PLAN_TASK_ID_RULE}")
    return id


def _check_name(name: str) -> str:
    if not bounds.WORKFLOW_NAME.fullmatch(name):
        raise ValueError(f"is {short_repr(name)}, but must be {WORKFLOW_NAME_RULE}")
    return name


def _check_run_id(run_id: str) -> str:
    try:
        return check_run_id(run_id)
    except ValueError as error:
        raise ValueError(f"is not allowed: {error}") from None


def _check_meta(meta: dict[str, Any]) -> dict[str, Any]:
    if (problem := meta_size_problem(meta)) is not None:
        raise ValueError(problem)
    return meta


def _check_timeout(value: Any) -> Any:
    problem = None if value is None else seconds_problem(value)
    if problem is not None:
        raise ValueError(problem)
    return value


def _parse_retry(value: Any) -> Any:
    """A Retry from a number of attempts, or from an object with its members."""
    given: Any = {"attempts": value} if isinstance(value, int) and not isinstance(value, bool) else value
    if given is None:
        return None
    if not isinstance(given, dict):
        raise ValueError(f"must be a number of attempts or an object, not {json_kind(given)}")
    members = cast("dict[str, Any]", given)
    for name in members:
        if name not in _RETRY_MEMBERS:
            raise ValueError(f"has no member {short_repr(name)}; its members are {', '.join(_RETRY_MEMBERS)}")
    retry: Retry = _make(Retry, **members)
    if retry.attempts > bounds.PLAN_ATTEMPTS:
        raise ValueError(f"has {retry.attempts:,} attempts, the limit is {bounds.PLAN_ATTEMPTS:,}")
    return retry


def _parse_budget(value: Any) -> Any:
    return None if value is None else _make(Budget.of, value)


def _make(make: Any, *args: Any, **members: Any) -> Any:
    try:
        return make(*args, **members)
    except ValueError as error:
        raise ValueError(f"is not allowed: {error}") from None


_RETRY_MEMBERS: Final = ("attempts", "delay", "backoff", "max_delay", "jitter")  # without retry_on, which is code

Meta = Annotated[dict[str, Any], AfterValidator(_check_meta)]


class TaskShape(BaseModel):
    """One task of a plan. A member that is null counts as absent."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, AfterValidator(_check_id)]
    tool: str
    input: dict[str, Any] | None = None
    depends_on: list[str] | None = None
    retry: Annotated[Any, BeforeValidator(_parse_retry)] = None
    timeout: Annotated[Any, BeforeValidator(_check_timeout)] = None
    on_upstream_failure: OnUpstreamFailure | None = None
    meta: Meta | None = None


class PlanShape(BaseModel):
    """A plan."""

    model_config = ConfigDict(extra="forbid")

    tasks: Annotated[list[TaskShape], Field(min_length=1, max_length=bounds.PLAN_TASKS)]
    name: Annotated[str, AfterValidator(_check_name)] | None = None
    run_id: Annotated[str, AfterValidator(_check_run_id)] | None = None
    meta: Meta | None = None
    budget: Annotated[Any, BeforeValidator(_parse_budget)] = None


def shape_of(document: object, written: Written) -> PlanShape:
    """A document after ``rename_members`` as a ``PlanShape``; raises PlanError that names each member that is wrong."""
    try:
        return PlanShape.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_url=False)
    problems = (Problem(one["loc"], _shape_message(one)) for one in details[: bounds.PLAN_PROBLEMS])
    fail(*as_written(problems, written))


def _shape_message(error: ErrorDetails) -> str:
    kind, where = error["type"], error["loc"]
    if kind == "missing":
        return 'is missing: {"tasks": [{"id": ..., "tool": ...}]}' if where == ("tasks",) else "is missing"
    if kind == "extra_forbidden":
        known = (TaskShape if len(where) > 1 else PlanShape).model_fields
        return f"is not a member of a {'task' if len(where) > 1 else 'plan'}; its members are {', '.join(known)}"
    if kind == "value_error":
        return str(error.get("ctx", {})["error"])
    if kind == "too_short":
        return "has no task"
    if kind == "too_long":
        return f"has {len(error['input']):,} tasks, the limit is {bounds.PLAN_TASKS:,}"
    expected = {"string_type": "a string", "list_type": "a list", "dict_type": "an object", "model_type": "an object"}
    if kind in expected:
        return f"must be {expected[kind]}, not {json_kind(error['input'])}"
    return f"is {short_repr(error['input'])}, but must be {error.get('ctx', {}).get('expected', error['msg'])}"
