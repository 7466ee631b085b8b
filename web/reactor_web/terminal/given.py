"""What was given on the command line: files, inputs and values, or a sentence that refuses them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import orjson
import typer

from reactor.definition.graph import Graph
from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.errors import InputError, WorkflowError
from reactor.logger import get_logger
from reactor_web.terminal.load import LoadError, is_plan, load_plan_file, load_workflow, load_workflows

logger = get_logger("reactor.web")

USAGE = 2
START_OPTIONS = ("run_id", "meta", "budget")
"""Members of a plan that are for the start of its run."""


def refuse(sentence: str) -> NoReturn:
    print(f"reactor: {sentence}", file=sys.stderr)
    raise typer.Exit(USAGE)


def is_http_url(text: str) -> bool:
    """Whether it begins as one."""
    return text.startswith(("http://", "https://"))


def load(target: str, tools: list[str]) -> tuple[Workflow, dict[str, Any]]:
    """The workflow, and the options for its start that the document of a plan has."""
    try:
        if is_plan(target):
            workflow, document = load_plan_file(target, tools)
            return workflow, {name: document[name] for name in START_OPTIONS if document.get(name) is not None}
        if tools:
            refuse(f"--tools is for a plan, and {target} is not a .json file")
        workflow = load_workflow(target)
        workflow.validate()
    except (LoadError, WorkflowError) as error:
        _refuse_to_load(error)
    return workflow, {}


def load_all(target: str, on_error: Callable[[Exception], object] | None = None) -> list[Workflow]:
    """The workflows of a file or module. ``on_error`` is told why they cannot be loaded, before that is refused."""
    try:
        workflows = load_workflows(target)
        for workflow in workflows:
            workflow.validate()
    except (LoadError, WorkflowError) as error:
        if on_error is not None:
            on_error(error)
        _refuse_to_load(error)
    return workflows


def _refuse_to_load(error: Exception) -> NoReturn:
    logger.debug("a file cannot be loaded", exc_info=error.__cause__ or error)
    refuse(str(error))


def make_engine(store: str, workflows: Sequence[Workflow], **options: Any) -> Engine:
    try:
        return Engine(store, workflows=workflows, **options)
    except ValueError as error:
        refuse(f"--store: {error}")


def parse_input(graph: Graph, pairs: Sequence[str]) -> dict[str, Any]:
    texts: dict[str, str] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            refuse(f"{pair!r} is not an input: write KEY=VALUE")
        if key in texts:
            refuse(f"the input {key!r} is given twice")
        texts[key] = text
    try:
        return graph.parse_input(texts)
    except InputError as error:
        refuse(str(error))


class Sent(NamedTuple):
    """A value of ``--send``. ``key``: of the question it is for; None for the first one."""

    task: str
    key: str | None
    value: Any


def parse_values(graph: Graph, pairs: Sequence[str]) -> list[Sent]:
    """``task=value`` and ``task:key=value`` of ``--send``. A value that is not JSON is text.

    Without keys, the second value for a task is for its second question.
    """
    values: list[Sent] = []
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            refuse(f"--send {pair!r} has no value: write TASK=VALUE or TASK:KEY=VALUE")
        task, colon, key = name.partition(":")
        if colon and not key:
            refuse(f"--send {pair!r} has an empty key: write TASK=VALUE or TASK:KEY=VALUE")
        if task not in graph.by_name:
            refuse(f"--send {pair!r} names no task of this workflow; it has {', '.join(graph.by_name)}")
        before = sum(sent.task == task for sent in values)
        values.append(Sent(task, key or (str(before + 1) if before else None), parse_value(text)))
    return values


def parse_value(text: str) -> Any:
    """A value of the command line: JSON, or else text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
