"""``Visible``: which runs and workflows a principal may name, and which of those that there are are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reactor.definition.workflow import Workflow
from reactor.errors import UnknownRun
from reactor.plans.tools import Tool
from reactor.registry import find_workflow
from reactor.runs.run import Run
from reactor.tenants.tenant import Tenant
from reactor_web.guard.principal import Principal
from reactor_web.http.problems import Problem


@dataclass(frozen=True, slots=True)
class Visible:
    """What of a tenant is there for a principal.

    A run id outside of its patterns is Problem 403, whether there is such a run or not. A run of a workflow outside of
    them is as if it were not there.
    """

    tenant: Tenant
    principal: Principal

    def check_run(self, run_id: str) -> str:
        """The id; raises Problem 403 for one that is not among the patterns."""
        if not self.principal.sees_run(run_id):
            raise Problem(403, "this credential is not for runs of this id", code="forbidden-run")
        return run_id

    def check_workflow(self, name: str) -> None:
        """Raises Problem 403 for a workflow that is not among the patterns."""
        if not self.principal.sees_workflow(name):
            raise Problem(403, "this credential is not for this workflow", code="forbidden-workflow")

    def check_new(self, run_id: str | None, workflow: Workflow | str | None = None) -> None:
        """Raises Problem 403 or UnknownWorkflow for a run that may not be started. ``workflow``: None: it is seen."""
        if isinstance(workflow, str):
            self.workflow(workflow)
        elif workflow is not None:
            self.check_workflow(workflow.name)
        if run_id is not None:
            self.check_run(run_id)
        elif self.principal.runs is not None:
            raise Problem(
                403,
                "this credential is for runs of certain ids only: give a run_id that is one of them",
                code="forbidden-run",
            )

    def check_shown(self, run: Run) -> Run:
        """The run; raises UnknownRun for one of a workflow that is not among the patterns."""
        if not self.principal.sees_workflow(run.state.workflow or ""):
            raise UnknownRun.of(run.id)
        return run

    def check_given(self, run: Run, where: str) -> Run:
        """A run that a function of the host has returned. Raises ValueError for one of another tenant, which is a bug
        of the host, and what ``get`` raises for one that is not seen."""
        if run.tenant != self.tenant.name:
            raise ValueError(
                f"{where} returned the run {run.id!r} of the tenant {run.tenant!r}, but who asks is of the tenant "
                f"{self.tenant.name!r}: start it with tenant=, or return a Start"
            )
        self.check_run(run.id)
        return self.check_shown(run)

    # --- definitions ---

    @property
    def workflows(self) -> Mapping[str, Workflow]:
        sees = self.principal.sees_workflow
        return {name: workflow for name, workflow in self.tenant.workflows.items() if sees(name)}

    @property
    def tools(self) -> Mapping[str, Tool[..., Any]]:
        return self.tenant.tools

    def workflow(self, name: str) -> Workflow:
        self.check_workflow(name)
        return find_workflow(self.workflows, name)
