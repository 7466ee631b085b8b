"""Inputs of a run that are probably a misspelt task: ``def use(fecth=None)`` beside a task ``fetch``.

Nobody can be sure, since any name may be an input. So such a workflow is not refused: the log says once what its runs
do. Where the parameter has no default, the start of a run fails anyway, and says it there (``inputs``).
"""

from __future__ import annotations

from collections.abc import Mapping

from reactor.definition.inputs import RunInput
from reactor.events.values import short_repr
from reactor.logger import warn_once


def warn_of_slips(workflow: str, inputs: Mapping[str, RunInput]) -> None:
    """Logs a warning for each input with a default that has nearly the name of a task."""
    for spec in inputs.values():
        near = spec.near_task
        if spec.required or near is None or (spec.default is not None and _is_other_word(spec.name, near)):
            continue
        tasks = ", ".join(map(repr, spec.tasks))
        warn_once(
            f"workflow {workflow!r}, task {tasks}: no task is named {spec.name!r}, so that parameter is an input "
            f"of the run, by default {short_repr(spec.default)}; did you mean the task {near!r}?"
        )


def _is_other_word(name: str, task: str) -> bool:
    """``pages`` beside ``page``, ``part2`` beside ``part1``: meant so, if the default is a value of its own."""
    return name.startswith(task) or task.startswith(name) or _letters(name) == _letters(task)


def _letters(name: str) -> str:
    return "".join(letter for letter in name if not letter.isdigit())
