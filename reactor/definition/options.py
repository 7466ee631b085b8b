"""Checks of the options of one task that need no other task: each returns a sentence, or None where all is well."""

from __future__ import annotations

from typing import Any

from reactor.definition.address import address_of
from reactor.definition.executors import EXECUTORS
from reactor.definition.policy import Cache, Limit, Retry
from reactor.definition.task import ON_UPSTREAM_FAILURE, Group, Task
from reactor.requests import seconds_problem, whole_number_problem


def options_problem(task: Task[..., Any]) -> str | None:
    """The first problem of a task's own options; values of any type come in, because not everybody checks types."""
    name = repr(task.name)
    return (
        count_problem(f"concurrency of task {name}", task.concurrency)
        or timeout_problem(f"timeout of task {name}", task.timeout)
        or _retry_problem(name, task.retry)
        or _cache_problem(name, task.cache)
        or _limits_problem(name, task.limits)
        or _executor_problem(name, task)
        or _after_problem(name, task.after)
        or _on_upstream_failure_problem(name, task.on_upstream_failure)
    )


def count_problem(option: str, value: Any) -> str | None:
    """Accepts a whole number from 1, or None for no limit; ``option`` begins the sentence."""
    problem = None if value is None else whole_number_problem(value, 1)
    return None if problem is None else f"{option} {problem}"


def timeout_problem(option: str, value: Any) -> str | None:
    """Accepts a number of seconds above 0, or None for no limit; ``option`` begins the sentence."""
    problem = None if value is None else seconds_problem(value)
    return None if problem is None else f"{option} {problem}"


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


def _on_upstream_failure_problem(name: str, value: Any) -> str | None:
    if value in ON_UPSTREAM_FAILURE:
        return None
    return f"on_upstream_failure of task {name} must be 'skip' or 'run', not {value!r}"
