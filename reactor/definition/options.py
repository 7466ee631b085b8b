"""What may be wrong with the options of one task, before anything else is known: a sentence, or None."""

from __future__ import annotations

import math
from typing import Any

from reactor.bounds import MAX_SECONDS
from reactor.definition.address import address_of
from reactor.definition.policy import Cache, Limit, Retry
from reactor.definition.task import EXECUTORS, Group, Task


def options_problem(task: Task[..., Any]) -> str | None:
    """The first problem of a task's own options; values of any type come in, because not everybody checks types."""
    name = repr(task.name)
    return (
        _with(count_problem("concurrency", task.concurrency), name)
        or _with(seconds_problem("timeout", task.timeout), name)
        or _retry_problem(name, task.retry)
        or _cache_problem(name, task.cache)
        or _limits_problem(name, task.limits)
        or _executor_problem(name, task)
        or _after_problem(name, task.after)
    )


def count_problem(option: str, value: Any) -> str | None:
    """A whole number from 1, or None for no limit."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        return f"{option} must be a whole number from 1, not {value!r}"
    return None


def seconds_problem(option: str, value: Any) -> str | None:
    """Seconds above 0, or None for no limit."""
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 < value <= MAX_SECONDS:
        return f"{option} must be a number of seconds above 0 and at most {MAX_SECONDS:,.0f}, not {value!r}"
    return None


def _with(problem: str | None, name: str) -> str | None:
    if problem is None:
        return None
    option, _, rest = problem.partition(" ")
    return f"{option} of task {name} {rest}"


def _retry_problem(name: str, retry: Any) -> str | None:
    return None if retry is None or isinstance(retry, Retry) else f"retry of task {name} must be a Retry, not {retry!r}"


def _cache_problem(name: str, cache: Any) -> str | None:
    if cache is None or isinstance(cache, Cache):
        return None
    return f"cache of task {name} must be a Cache or a key function, not {cache!r}"


def _limits_problem(name: str, limits: tuple[Any, ...]) -> str | None:
    for limit in limits:
        if not isinstance(limit, (str, Limit)):
            return f"limits of task {name} must be names or Limits, not {limit!r}"
    return None


def _after_problem(name: str, after: tuple[Any, ...]) -> str | None:
    for part in after:
        if not isinstance(part, (str, Task, Group)):
            return f"after of task {name} must be names, tasks or groups, not {part!r}"
    return None


def _executor_problem(name: str, task: Task[..., Any]) -> str | None:
    if task.executor is None:
        return None
    if task.executor not in EXECUTORS:
        return f"executor of task {name} must be one of {', '.join(EXECUTORS)}, not {task.executor!r}"
    if task.executor == "process":
        try:
            address_of(task.function)
        except ValueError as error:
            return f"task {name} cannot run in a process: {error}"
    return None
