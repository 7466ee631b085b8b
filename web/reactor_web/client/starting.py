"""The body of a start: what users pass in, as JSON, or a sentence that says what of it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from reactor.definition.policy import Budget
from reactor.definition.workflow import Workflow
from reactor.errors import InputError, PlanError
from reactor.events.shown import plain_copy
from reactor.events.values import json_kind, named
from reactor.plans.document import check_json, parse_plan
from reactor.requests import check_meta


def plan_document(plan: Mapping[str, Any] | str | bytes) -> dict[str, Any]:
    """The document of a plan; raises PlanError for what is no JSON object."""
    document = parse_plan(plan) if isinstance(plan, str | bytes) else plan
    if not isinstance(document, Mapping):
        sentence = f"the plan must be an object, not {json_kind(document)}"
        raise PlanError(sentence, place="", problems=[])
    found = dict(cast("Mapping[str, Any]", document))
    check_json(found)
    return found


def start_body(
    workflow: Workflow | str,
    input: Mapping[str, Any] | None,
    meta: Mapping[str, Any] | None,
    budget: Budget | Mapping[str, Any] | None,
) -> dict[str, Any]:
    name = workflow.name if isinstance(workflow, Workflow) else workflow
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
        raise TypeError(f"a workflow is named by text, or is a Workflow: {named(name)} is neither")
    return {"workflow": name, "input": _plain_input(name, input), **start_options(meta, budget)}


def _plain_input(workflow: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        kind = json_kind(given)
        sentence = f'the input of workflow {workflow!r} must be an object, like {{"topic": "tea"}}, not {kind}'
        raise InputError(sentence, workflow=workflow, problems=[])
    plain: dict[str, Any] = {}
    for key, value in given.items():
        try:
            plain |= plain_copy({key: value})
        except (TypeError, ValueError, RecursionError) as error:
            sentence = f"workflow {workflow!r}: the input {str(key)[:100]!r} is not JSON: {error}"
            raise InputError(sentence, workflow=workflow, problems=[]) from error
    return plain


def start_options(meta: Mapping[str, Any] | None, budget: Budget | Mapping[str, Any] | None) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if meta:
        given["meta"] = check_meta(meta)
    if budget is not None:
        given["budget"] = Budget.of(budget).to_dict()
    return given
