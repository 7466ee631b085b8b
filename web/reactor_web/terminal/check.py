"""`reactor check`: what is wrong with a workflow file or a plan, without running any of it.

Exit codes: 0 nothing is wrong, 1 something is, 2 it could not be looked at.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, TextIO

import orjson
import typer

from reactor.definition.workflow import Workflow
from reactor.errors import WorkflowError
from reactor_web.terminal.given import refuse
from reactor_web.terminal.lines import printable
from reactor_web.terminal.load import LoadError, is_plan, load_plan_file, load_workflows
from reactor_web.terminal.log_lines import Format, Level, log_to_stderr
from reactor_web.terminal.stdout import take_stdout

WRONG = 1


def check_file(
    target: Annotated[str, typer.Argument(metavar="FILE[:WORKFLOW]", help="A Python file or module, or a PLAN.json.")],
    tools: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Registers the tools of a plan: Python; repeatable.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One document: {file, workflows, problems}.")] = False,
) -> None:
    """Says what is wrong with a workflow file or a plan. The file is imported, and no task is run."""
    log_to_stderr(Level.ERROR, Format.TEXT)
    if is_plan(target) and not tools:
        refuse(f"{target} is a plan: say with --tools which files register its tools")
    if tools and not is_plan(target):
        refuse(f"--tools is for a plan, and {target} is not a .json file")
    if (target.endswith((".py", ".json"))) and not Path(target).exists():
        refuse(f"there is no file {target}")
    out = take_stdout()  # what the file prints while it is imported is not what was asked for
    workflows, problems = _look(target, tools or [])
    if json:
        document = {"file": target, "workflows": [_shown(one) for one in workflows], "problems": problems}
        print(orjson.dumps(document).decode(), file=out, flush=True)
    else:
        _print(workflows, problems, out)
    raise typer.Exit(WRONG if problems else 0)


def _look(target: str, tools: list[str]) -> tuple[list[Workflow], list[dict[str, Any]]]:
    """The workflows that are right, and what is wrong: ``{workflow, problem}``."""
    try:
        found = [load_plan_file(target, tools)[0]] if is_plan(target) else load_workflows(target)
    except (LoadError, WorkflowError) as error:
        return [], [{"workflow": None, "problem": str(error)}]
    right: list[Workflow] = []
    problems: list[dict[str, Any]] = []
    for workflow in found:
        try:
            workflow.validate()
        except WorkflowError as error:
            problems.append({"workflow": workflow.name, "problem": str(error)})
        else:
            right.append(workflow)
    return right, problems


def _shown(workflow: Workflow) -> dict[str, Any]:
    graph = workflow.validate()
    return {"name": workflow.name, "version": graph.version, "tasks": [node.name for node in graph.nodes]}


def _print(workflows: list[Workflow], problems: list[dict[str, Any]], out: TextIO) -> None:
    for workflow in workflows:
        tasks = len(workflow.validate().nodes)
        print(printable(f"{workflow.name}: {tasks} {'task' if tasks == 1 else 'tasks'}, nothing is wrong"), file=out)
    for problem in problems:
        print(printable(problem["problem"]), file=out)
    out.flush()
    if problems:
        print(f"reactor: {len(problems)} {'problem' if len(problems) == 1 else 'problems'}", file=sys.stderr)
