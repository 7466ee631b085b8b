"""What an engine finds by name: workflows, tools and limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reactor.definition.graph import Graph
from reactor.definition.names import did_you_mean
from reactor.definition.policy import Limit
from reactor.definition.task import Task
from reactor.definition.workflow import Workflow
from reactor.errors import UnknownWorkflow, WorkflowError
from reactor.events.values import named
from reactor.plans.tools import Tool, tools, tools_by_name
from reactor.requests import several


def check_workflow(given: object) -> Workflow:
    """Raises TypeError for what is not a workflow, which says what was given instead."""
    if isinstance(given, Workflow):
        return given
    what = f"the task {given.name!r}: give the workflow it belongs to" if isinstance(given, Task) else named(given)
    raise TypeError(f"a workflow must be a Workflow, or the name of a registered one, not {what}")


def check_workflows(given: object) -> tuple[Workflow, ...]:
    """One workflow or several; raises TypeError for anything else."""
    return several(given, Workflow, "workflows", "give the workflows themselves: workflows=[flow]")


class Registry:
    """``only``: the tools that a plan may use; None: every ``@tool`` of this process."""

    def __init__(self, limits: Iterable[Limit], only: Iterable[Tool[..., Any]] | None) -> None:
        self.workflows: dict[str, Workflow] = {}
        self.limits: dict[str, Limit] = {}
        self._only = None if only is None else tools_by_name(only)
        for limit in several(limits, Limit, "limits", 'write limits=[Limit("openai", 60, per=60)]'):
            if self.limits.setdefault(limit.name, limit) != limit:
                raise ValueError(f"there are two limits named {limit.name!r}; give one of them another name")

    @property
    def tools(self) -> Mapping[str, Tool[..., Any]]:
        """The tools that a plan may use, by name."""
        return tools() if self._only is None else self._only

    def register(self, workflow: Workflow) -> Graph:
        """Validates a workflow and registers it by its name.

        Raises WorkflowError, or ValueError where another workflow has this name. A plan is only validated: it is stored
        with its runs.
        """
        graph = check_workflow(workflow).validate()
        self._check_limits(graph)
        if workflow.plan is not None:
            return graph
        known = self.workflows.setdefault(workflow.name, workflow)
        if known is not workflow and known.validate().fingerprint != graph.fingerprint:
            raise ValueError(f"two different workflows are named {workflow.name!r}; give one of them another name")
        return graph

    def register_all(self, workflows: Iterable[Workflow] | Workflow) -> None:
        """Registers one workflow or several; raises TypeError for anything else, and what ``register`` raises."""
        for workflow in check_workflows(workflows):
            self.register(workflow)

    def workflow(self, name: str) -> Workflow:
        """The registered workflow of this name; raises UnknownWorkflow."""
        workflow = self.workflows.get(name)
        if workflow is None:
            known = ", ".join(map(repr, self.workflows)) or "none"
            hint = did_you_mean(str(name), self.workflows)
            raise UnknownWorkflow(f"there is no workflow {name[:100]!r}{hint}; registered: {known}", workflow=name)
        return workflow

    def _check_limits(self, graph: Graph) -> None:
        for name, limit in graph.limits.items():
            known = self.limits.get(name, limit)
            if known is None:
                raise WorkflowError(
                    f"workflow {graph.name!r} uses the limit {name!r}, which this engine does not have; "
                    f"Engine(limits=[Limit({name!r}, ...)])",
                    workflow=graph.name,
                    task=None,
                )
            if limit is not None and known != limit:
                raise WorkflowError(
                    f"workflow {graph.name!r} defines the limit {name!r} as {limit}, the engine as {known}",
                    workflow=graph.name,
                    task=None,
                )
        for (
            name,
            limit,
        ) in graph.limits.items():  # after all checks: a refused workflow must leave nothing behind
            if limit is not None:
                self.limits.setdefault(name, limit)
