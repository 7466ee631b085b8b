"""What an engine finds by name: workflows, tools and limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reactor.definition.graph import Graph
from reactor.definition.policy import Limit
from reactor.definition.workflow import Workflow
from reactor.errors import UnknownWorkflow, WorkflowError
from reactor.plans.tools import Tool, tools


def _tools_by_name(tools: Iterable[Tool[..., Any]]) -> dict[str, Tool[..., Any]]:
    """Raises ValueError where two tools have the same name."""
    named: dict[str, Tool[..., Any]] = {}
    for tool in tools:
        if named.setdefault(tool.name, tool) is not tool:
            raise ValueError(f"there are two tools named {tool.name!r}")
    return named


class Registry:
    """``only``: the tools that a plan may use; None: every ``@tool`` of this process."""

    def __init__(self, limits: Iterable[Limit], only: Iterable[Tool[..., Any]] | None) -> None:
        self.workflows: dict[str, Workflow] = {}
        self.limits: dict[str, Limit] = {}
        self._only = None if only is None else _tools_by_name(only)
        for limit in limits:
            if self.limits.setdefault(limit.name, limit) != limit:
                raise ValueError(f"there are two limits named {limit.name!r}")

    @property
    def tools(self) -> Mapping[str, Tool[..., Any]]:
        """The tools that a plan may use, by name."""
        return tools() if self._only is None else self._only

    def register(self, workflow: Workflow) -> Graph:
        """Validates a workflow and registers it by its name.

        Raises WorkflowError, or ValueError where another workflow has this name. A plan is only validated: it is stored
        with its runs.
        """
        graph = workflow.validate()
        self._check_limits(graph)
        if workflow.plan is not None:
            return graph
        known = self.workflows.setdefault(workflow.name, workflow)
        if known is not workflow and known.validate().fingerprint != graph.fingerprint:
            raise ValueError(f"two different workflows are named {workflow.name!r}")
        return graph

    def workflow(self, name: str) -> Workflow:
        """The registered workflow of this name; raises UnknownWorkflow."""
        workflow = self.workflows.get(name)
        if workflow is None:
            known = ", ".join(map(repr, self.workflows)) or "none"
            raise UnknownWorkflow(f"there is no workflow {name[:100]!r}; registered: {known}", workflow=name)
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
