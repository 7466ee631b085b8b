"""What the document of a plan must be before its tasks mean anything: JSON within bounds, and its shape.

Documents come from strangers. Nothing here or in ``plans.load`` evaluates, imports or formats what they say.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Annotated, Any, Final, Literal, NamedTuple, NoReturn, cast

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from reactor import bounds
from reactor.definition.options import seconds_problem
from reactor.definition.policy import Budget, Retry
from reactor.errors import PlanError
from reactor.events.values import depth_of
from reactor.requests import check_run_id

Location = tuple[str | int, ...]
"""Where in a document: member names and list indexes."""

_MESSAGE_CHARS: Final = 500
_SHOWN_CHARS: Final = 60
_INT64: Final = range(-(2**63), 2**63)


class Problem(NamedTuple):
    """What is wrong at a location, as the rest of a sentence: ``must be a string, not null``."""

    location: Location
    message: str


class _Twice:
    """In place of a member that an object of a text has twice."""


# --- problems as an error ---------------------------------------------------------------------------------------


def raise_first(problems: Iterable[Problem]) -> None:
    """Raises PlanError with the first problems, if there is one."""
    found = list(islice(problems, bounds.PLAN_PROBLEMS))
    if found:
        fail(*found)


def fail(*problems: Problem) -> NoReturn:
    """Raises PlanError: a sentence with up to three of the problems, all of them in ``problems``."""
    told = [{"place": place_of(where), "message": _clean(message)} for where, message in problems]
    sentences = [f"{one['place'] or 'the plan'} {one['message']}" for one in told[:3]]
    more = [f"and {len(told) - 3} more"] if len(told) > 3 else []
    raise PlanError("; ".join((*sentences, *more)), place=told[0]["place"], problems=told)


def place_of(location: Location) -> str:
    """``tasks[2].input.url``; empty for the document itself."""
    place = ""
    for step in location:
        if isinstance(step, int):
            place += f"[{step}]"
        elif step.isascii() and step.replace("-", "_").isidentifier() and len(step) <= _SHOWN_CHARS:
            place += f".{step}" if place else step
        else:
            place += f"[{shown(step)}]"
    return place


def shown(value: Any) -> str:
    """The beginning of a value's ``repr``, in which nothing is left that no JSON can carry."""
    text = repr(value[:_SHOWN_CHARS] if isinstance(value, str) else value)
    return _clean(text if len(text) <= _SHOWN_CHARS + 2 else f"{text[:_SHOWN_CHARS]}…")


def near(name: str, known: Iterable[str]) -> str:
    """``, did you mean 'fetch'?``, or nothing."""
    # the comparison is slow, and a stranger chooses how much there is to compare
    found = get_close_matches(name[:64], islice(known, 100), n=1)
    return f", did you mean {found[0]!r}?" if found else ""


def kind_of(value: object) -> str:
    """What JSON calls it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    names: dict[type, str] = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _clean(text: str) -> str:
    text = text if len(text) <= _MESSAGE_CHARS else f"{text[: _MESSAGE_CHARS - 1]}…"
    return text.encode("utf-8", "replace").decode()


# --- JSON within bounds -----------------------------------------------------------------------------------------


def parse_plan(text: str | bytes) -> object:
    """The document of a JSON text; raises PlanError: no JSON (with line and column), or beyond a bound."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(raw) > bounds.PLAN_BYTES:
        fail(Problem((), f"has {len(raw):,} bytes, the limit is {bounds.PLAN_BYTES:,}"))
    try:
        depth = depth_of(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        fail(Problem((), f"is not JSON: {error}"))
    if depth > bounds.PLAN_DEPTH:
        fail(Problem((), f"is nested more than {bounds.PLAN_DEPTH} deep"))
    # a second time with the slower parser, which tells what orjson keeps to itself: it rounds integers beyond 64 bits,
    # and takes the last of two members of one name where another reader takes the first
    document: object = json.loads(raw, object_pairs_hook=_members)
    check_json(document)
    return document


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found[name] = _Twice() if name in found else value
    return found


def check_json(document: object) -> None:
    """Raises PlanError for what is not plain JSON, in any depth, or beyond a bound."""
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
        # before they are put there: in Python one list may stand in very many places
        if seen + len(stack) + len(members) > bounds.PLAN_VALUES:
            yield Problem((), f"has more than {bounds.PLAN_VALUES:,} values")
            return
        stack.extend((member, (*where, step)) for step, member in reversed(members))


def _members_of(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return list(cast("dict[str, Any]", value).items())
    return list(enumerate(cast("list[Any]", value))) if isinstance(value, list) else []


def _json_problem(value: Any, depth: int) -> str | None:
    kind = cast(object, type(value))  # exact types: what a subclass adds would not come back from the log
    if value is None or kind is bool:
        return None
    if kind is str:
        return None if _is_text(value) else "is no text: it has half of a surrogate pair"
    if kind is int:
        return None if value in _INT64 else "is an integer beyond 64 bits; as a string it would stay exact"
    if kind is float:
        return None if math.isfinite(value) else "is not a finite number"
    if kind is list or kind is dict:
        too_deep = f"is nested more than {bounds.PLAN_DEPTH} deep"
        return too_deep if depth >= bounds.PLAN_DEPTH else _key_problem(value)
    return "is there twice" if kind is _Twice else f"is {type(value).__name__}, which is not JSON"


def _key_problem(value: Any) -> str | None:
    for key in cast("dict[Any, Any]", value) if isinstance(value, dict) else ():
        if type(key) is not str:
            return f"has a key that is no string: {shown(key)}"
        if not _is_text(key):
            return f"has a key that is no text: {shown(key)}"
    return None


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- the shape --------------------------------------------------------------------------------------------------


def _checked_id(id: str) -> str:
    if not bounds.PLAN_TASK_ID.fullmatch(id):
        raise ValueError(f"is {shown(id)}, but must be a letter or _, then up to 63 letters, digits, _ ~ -")
    return id


def _checked_name(name: str) -> str:
    if not bounds.WORKFLOW_NAME.fullmatch(name):
        raise ValueError(f"is {shown(name)}, but must be 1 to 64 letters, digits and . _ ~ -")
    return name


def _checked_run_id(run_id: str) -> str:
    try:
        return check_run_id(run_id)
    except ValueError as error:
        raise ValueError(f"cannot be: {error}") from None


def _checked_meta(meta: dict[str, Any]) -> dict[str, Any]:
    size = len(orjson.dumps(meta))
    if size > bounds.MAX_META_BYTES:
        raise ValueError(f"has {size:,} bytes, the limit is {bounds.MAX_META_BYTES:,}")
    return meta


def _timeout(value: Any) -> Any:
    problem = seconds_problem("timeout", value)
    if problem is not None:
        raise ValueError(problem.removeprefix("timeout "))
    return value


def _retry(value: Any) -> Any:
    """A Retry from the number of attempts, or an object with its members."""
    given: Any = {"attempts": value} if isinstance(value, int) and not isinstance(value, bool) else value
    if given is None:
        return None
    if not isinstance(given, dict):
        raise ValueError(f"must be a number of attempts or an object, not {kind_of(given)}")
    members = cast("dict[str, Any]", given)
    for name in members:
        if name not in _RETRY:
            raise ValueError(f"has no member {shown(name)}; there are {', '.join(_RETRY)}")
    retry: Retry = _made(Retry, **members)
    if retry.attempts > bounds.PLAN_ATTEMPTS:
        raise ValueError(f"has {retry.attempts:,} attempts, the limit is {bounds.PLAN_ATTEMPTS:,}")
    return retry


def _budget(value: Any) -> Any:
    return None if value is None else _made(Budget.of, value)


def _made(make: Any, *args: Any, **members: Any) -> Any:
    try:
        return make(*args, **members)
    except ValueError as error:
        raise ValueError(f"cannot be: {error}") from None


_RETRY: Final = ("attempts", "delay", "backoff", "max_delay", "jitter")  # retry_on is code

Meta = Annotated[dict[str, Any], AfterValidator(_checked_meta)]


class TaskShape(BaseModel):
    """One task of a document. A member that is null is as good as none."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, AfterValidator(_checked_id)]
    tool: str
    input: dict[str, Any] | None = None
    depends_on: list[str] | None = None
    retry: Annotated[Any, BeforeValidator(_retry)] = None
    timeout: Annotated[Any, BeforeValidator(_timeout)] = None
    on_upstream_failure: Literal["skip", "run"] | None = None
    meta: Meta | None = None


class PlanShape(BaseModel):
    """A document."""

    model_config = ConfigDict(extra="forbid")

    tasks: Annotated[list[TaskShape], Field(min_length=1, max_length=bounds.PLAN_TASKS)]
    name: Annotated[str, AfterValidator(_checked_name)] | None = None
    run_id: Annotated[str, AfterValidator(_checked_run_id)] | None = None
    meta: Meta | None = None
    budget: Annotated[Any, BeforeValidator(_budget)] = None


def shape_of(document: object) -> PlanShape:
    """The shape of a document that is JSON; raises PlanError that names each member that is wrong."""
    try:
        return PlanShape.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_url=False)
    fail(*(Problem(one["loc"], _told(one)) for one in details[: bounds.PLAN_PROBLEMS]))


def _told(error: ErrorDetails) -> str:
    kind, where = error["type"], error["loc"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        known = (TaskShape if len(where) > 1 else PlanShape).model_fields
        return f"is no member of a {'task' if len(where) > 1 else 'plan'}; there are {', '.join(known)}"
    if kind == "value_error":
        return str(error.get("ctx", {})["error"])
    if kind == "too_short":
        return "has no task"
    if kind == "too_long":
        return f"has {len(error['input']):,} tasks, the limit is {bounds.PLAN_TASKS:,}"
    expected = {"string_type": "a string", "list_type": "a list", "dict_type": "an object", "model_type": "an object"}
    if kind in expected:
        return f"must be {expected[kind]}, not {kind_of(error['input'])}"
    return f"is {shown(error['input'])}, but must be {error.get('ctx', {}).get('expected', error['msg'])}"
