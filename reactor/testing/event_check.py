"""Whether events are what the vocabulary says: for tests of whatever writes or stores them."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import is_typeddict

from reactor.bounds import RESERVED_EVENT_PREFIXES
from reactor.events.event import Event
from reactor.events.vocabulary import RESERVED, VOCABULARY, calls, child, later, notices, run, task

_STRICT: Final = ConfigDict(strict=True, extra="forbid")
_ENVELOPE: Final = frozenset({"seq", "run_id", "type", "time", "data"})
_OF_A_TASK: Final = frozenset({"task_id", "task"})
_OF_A_KEY: Final = frozenset({"idempotency_digest", "idempotency_key"})
_IF_ANY: Final = frozenset({"map_index", "attempt"})


def check_event(event: Event) -> None:
    """Raises AssertionError for an event that has a key too many or too few, or a value of another type.

    Knows the types that the engine writes, with the keys of all versions. Of other types it checks the envelope and
    that their names are not reserved.
    """
    body = event.decode()
    _check_envelope(event, body)
    if event.type.startswith("child.") and not child.is_of_engine(body["data"]):
        return  # a body's own, in a log of a version before 0.2
    kind = next((kind for type, kind in VOCABULARY.items() if type == event.type), None)
    if kind is None:
        assert not event.type.startswith(RESERVED_EVENT_PREFIXES), f"{event}: the vocabulary does not have its type"
        assert event.type not in RESERVED, f"{event}: no version writes this type yet"
        return
    try:
        _adapter(kind.data).validate_python(body["data"])
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'data'}: {problem['msg']}" for problem in error.errors()
        )
        raise AssertionError(f"{event}: {problems}; its data is {body['data']}") from error


def _check_envelope(event: Event, body: dict[str, Any]) -> None:
    keys = body.keys()
    about = _OF_A_TASK if event.task_id is not None else frozenset[str]()
    assert keys >= _ENVELOPE | about, f"{event}: its envelope lacks {sorted((_ENVELOPE | about) - keys)}"
    keyed = frozenset[str]() if event.type in VOCABULARY else _OF_A_KEY
    assert not keys & keyed or keys >= keyed, f"{event}: of {sorted(keyed)} its envelope has one only"
    unknown = keys - _ENVELOPE - about - keyed - (_IF_ANY if about else frozenset())
    assert not unknown, f"{event}: its envelope has {sorted(unknown)} too much"
    if event.type.startswith(("task.", "child.")) and event.type != "task.spent":  # which may be said of the run
        assert about, f"{event}: it is about no task"
    if event.type.startswith("run."):
        assert not about, f"{event}: it is about one task"


@cache
def _adapter(data: type) -> TypeAdapter[Any]:
    for module in (run, task, child, calls, notices, later):
        _forbid_unknown_keys(module)
    return TypeAdapter(data)


@cache
def _forbid_unknown_keys(module: ModuleType) -> None:
    for value in vars(module).values():
        if is_typeddict(value):
            value.__pydantic_config__ = _STRICT
