"""What an engine finds by name: workflows, tools and limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reactor.bounds import MAX_LIMITS
from reactor.definition.graph import Graph, Identity
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


def find_workflow(workflows: Mapping[str, Workflow], name: str) -> Workflow:
    """The one of this name; raises UnknownWorkflow, which names these workflows and no other."""
    workflow = workflows.get(name)
    if workflow is None:
        known = ", ".join(map(repr, workflows)) or "none"
        hint = did_you_mean(str(name), workflows)
        raise UnknownWorkflow(f"there is no workflow {name[:100]!r}{hint}; registered: {known}", workflow=name)
    return workflow


class Registry:
    """``only``: the tools that a plan may use; None: every ``@tool`` of this process."""

    def __init__(self, limits: Iterable[Limit], only: Iterable[Tool[..., Any]] | None) -> None:
        self.workflows: dict[str, Workflow] = {}
        """By name: the one that was registered last."""
        self._graphs: dict[Identity, Graph] = {}
        """Of all that were registered: a run goes on in the graph it began with, whatever its name means by now."""
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
        """Validates a workflow and registers it; from now on its name means this one. Raises what ``accept`` raises.

        Those that had the name before are still found by their graph. A plan is only validated: it is stored with its
        runs.
        """
        graph = self.accept(workflow)
        if workflow.plan is None:
            self.workflows[graph.name] = workflow
            self._graphs[graph.identity] = graph
        return graph

    def register_all(self, workflows: Iterable[Workflow] | Workflow) -> None:
        """Registers one workflow or several; raises TypeError for anything else, and what ``register`` raises."""
        for workflow in check_workflows(workflows):
            self.register(workflow)

    def accept(self, workflow: Workflow) -> Graph:
        """Validates a workflow for one start: its limits are kept, the workflow is not.

        Raises TypeError for what is no workflow, and WorkflowError.
        """
        graph = check_workflow(workflow).validate()
        self._add_limits(graph)
        return graph

    @property
    def asks(self) -> bool:
        """Whether a body of a registered workflow, or a tool, may ask a question: it names ``receive``."""
        tasks = [node.task for graph in self._graphs.values() for node in graph.by_name.values()]
        bodies = [*(task.function for task in tasks), *(tool.function for tool in self.tools.values())]
        return any("receive" in getattr(getattr(body, "__code__", None), "co_names", ()) for body in bodies)

    def graph_of(self, workflow: Workflow | str) -> Graph:
        """The graph that a start asks for, by the name of a registered workflow or with a workflow.

        Raises UnknownWorkflow, and what ``accept`` raises.
        """
        return self.workflow(workflow).validate() if isinstance(workflow, str) else self.accept(workflow)

    def find(self, identity: Identity) -> Graph | None:
        """The registered graph that a run began with; None where there is none."""
        return self._graphs.get(identity)

    def latest(self, name: str) -> Graph | None:
        """The graph that was registered last under this name: where runs of an earlier one may go on."""
        workflow = self.workflows.get(name)
        return None if workflow is None else workflow.validate()

    def is_named(self, graph: Graph) -> bool:
        """Whether a name or a document stands for this graph: it is registered, or made from a plan."""
        return graph.plan is not None or graph.identity in self._graphs

    def workflow(self, name: str) -> Workflow:
        """The registered workflow of this name; raises UnknownWorkflow."""
        return find_workflow(self.workflows, name)

    def _add_limits(self, graph: Graph) -> None:
        """Keeps the limits that a graph defines; the first definition of a name holds as long as the engine."""
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
        new = {name: limit for name, limit in graph.limits.items() if limit is not None and name not in self.limits}
        if new and len(self.limits) + len(new) > MAX_LIMITS:
            raise WorkflowError(
                f"workflow {graph.name!r} defines the limit {min(new)!r}, but this engine has {len(self.limits):,} "
                f"limits, and can have no more: a workflow made for one run should name a limit of the engine",
                workflow=graph.name,
                task=None,
            )
        self.limits |= new  # after all checks: a refused workflow must leave nothing behind
