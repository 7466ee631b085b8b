"""Checks of the options of one task that need no other task: each returns a sentence, or None where all is well."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, cast

from reactor.bounds import MAX_WINDOW_EVENTS
from reactor.definition.address import address_of
from reactor.definition.executors import EXECUTORS
from reactor.definition.names import did_you_mean
from reactor.definition.policy import Cache, Limit, Retry
from reactor.definition.task import ON_UPSTREAM_FAILURE, Group, Task
from reactor.events.shown import plain_copy
from reactor.events.values import json_kind, named, short_repr
from reactor.requests import check_grace, seconds_problem, whole_number_problem


def options_problem(task: Task[..., Any]) -> str | None:
    """The first problem of a task's own options; values of any type come in, because not everybody checks types."""
    name = repr(task.name)
    return (
        function_problem(name, task.function)
        or _needs_problem(name, task.needs)
        or _map_problem(name, task.map)
        or _when_problem(name, task.when)
        or meta_problem(f"meta of task {name}", task.meta)
        or count_problem(f"concurrency of task {name}", task.concurrency)
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


def check_engine_options(concurrency: Any, grace: Any, append_timeout: Any, window: Any, resources: Any) -> None:
    """Raises ValueError for an option of an engine that is out of its range, TypeError for resources without names."""
    problem = count_problem("concurrency", concurrency) or timeout_problem("append_timeout", append_timeout)
    if problem is None and (of_window := whole_number_problem(window, 1, MAX_WINDOW_EVENTS)) is not None:
        problem = f"window {of_window}"
    if problem is not None:
        raise ValueError(f"the engine's {problem}")
    check_grace(grace)
    if resources is not None and not isinstance(resources, Mapping):
        raise TypeError(f'the resources of an engine must be an object, like {{"db": pool}}, not {named(resources)}')


def function_problem(name: str, function: Any) -> str | None:
    """Accepts a function, a bound method, and an object that can be called."""
    if isinstance(function, str):
        text = short_repr(function)
        return f"flow.task got {text} where the function belongs: flow.task(function, name={text})"
    if isinstance(function, type) and any("__call__" in vars(kind) for kind in function.__mro__):
        made = f"flow.task({function.__name__}())"  # a class without __call__ may be meant: it makes the output
        return f"task {name} is a class whose objects can be called: give an object of it, {made}"
    if not callable(function):
        return f"the body of a task must be a function, not {named(function)}"
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
        return f"task {name} has a yield, and a body gives one output: return a list, or tell each item with ctx.emit"
    return None


def _needs_problem(name: str, needs: Any) -> str | None:
    if not isinstance(needs, Mapping):
        return f'needs of task {name} must be {{"parameter": "task"}}, not {short_repr(needs)}'
    for parameter, upstream in cast("Mapping[object, object]", needs).items():
        if not isinstance(parameter, str) or not isinstance(upstream, (str, Task)):
            return (
                f'needs of task {name} must be {{"parameter": "task"}}, '
                f"not {{{short_repr(parameter)}: {short_repr(upstream)}}}"
            )
    return None


def _map_problem(name: str, option: Any) -> str | None:
    form = f'map of task {name} must be a task, its name, or {{"parameter": "task"}}'
    if option is None or isinstance(option, (str, Task)):
        return None
    if not isinstance(option, Mapping):
        return f"{form}, not {short_repr(option)}"
    members = cast("Mapping[object, object]", option)
    for parameter, upstream in members.items():
        if not isinstance(parameter, str) or not isinstance(upstream, (str, Task)):
            return f"{form}, not {{{short_repr(parameter)}: {short_repr(upstream)}}}"
    return None


def _when_problem(name: str, when: Any) -> str | None:
    return None if when is None or callable(when) else f"when of task {name} must be a function, not {short_repr(when)}"


def meta_problem(option: str, meta: Any) -> str | None:
    """Accepts an object of JSON; ``option`` begins the sentence."""
    if meta == {}:
        return None
    if not isinstance(meta, Mapping):
        return f'{option} must be an object, like {{"team": "data"}}, not {json_kind(meta)}'
    try:
        plain_copy(dict(cast("Mapping[str, Any]", meta)))
    except (TypeError, RecursionError) as error:
        return f"{option} is not JSON: {error}"
    return None


def _retry_problem(name: str, retry: Any) -> str | None:
    if retry is None or isinstance(retry, Retry):
        return None
    return f"retry of task {name} must be a number of attempts from 1, or a Retry, not {short_repr(retry)}"


def _cache_problem(name: str, cache: Any) -> str | None:
    if cache is None or isinstance(cache, Cache):
        return None
    return f"cache of task {name} must be True, a Cache or a key function, not {short_repr(cache)}"


def _limits_problem(name: str, limits: tuple[Any, ...]) -> str | None:
    for limit in limits:
        if not isinstance(limit, (str, Limit)):
            return f"limits of task {name} must be names or Limits, not {short_repr(limit)}"
    return None


def _after_problem(name: str, after: tuple[Any, ...]) -> str | None:
    for part in after:
        if not isinstance(part, (str, Task, Group)):
            return f"after of task {name} must be tasks, names of tasks or groups, not {named(part)}"
    return None


def _executor_problem(name: str, task: Task[..., Any]) -> str | None:
    if task.executor is None:
        return None
    if task.executor not in EXECUTORS:
        hint = did_you_mean(str(task.executor), EXECUTORS)
        return f"executor of task {name} must be one of {', '.join(EXECUTORS)}, not {short_repr(task.executor)}{hint}"
    if task.executor == "process":
        try:
            address_of(task.function)
        except ValueError as error:
            return f"task {name} cannot run in a process: {error}"
    return None


def _on_upstream_failure_problem(name: str, value: Any) -> str | None:
    if value in ON_UPSTREAM_FAILURE:
        return None
    return f"on_upstream_failure of task {name} must be 'skip' or 'run', not {short_repr(value)}"
