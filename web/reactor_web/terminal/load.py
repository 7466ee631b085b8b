"""Loads what a command line names: ``FILE.py`` or ``package.module``, with or without ``:name``, or ``PLAN.json``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from reactor.bounds import PLAN_BYTES
from reactor.definition.workflow import Workflow
from reactor.errors import PlanError
from reactor.plans.load import load_plan, parse_plan
from reactor.plans.tools import Tool


class LoadError(Exception):
    """A target that cannot be loaded. The message is one sentence: which target, and what is wrong with it."""


def load_workflows(target: str) -> list[Workflow]:
    """The workflows of a file or module, in order of definition; with ``:name`` the one of this name.

    Raises LoadError if there is none, unless the module defines tools.
    """
    place, _, name = target.rpartition(":") if _has_name(target) else (target, "", "")
    module = _import(place)
    found = _workflows_of(module)
    if name:
        chosen = found.get(name) or next((flow for flow in found.values() if flow.name == name), None)
        if chosen is None:
            raise LoadError(f"{place} has no workflow {name!r}; it has {_names(found)}")
        return [chosen]
    if not found and not any(isinstance(value, Tool) for value in vars(module).values()):
        raise LoadError(f"{place} defines no workflow at module level")
    return list(dict.fromkeys(found.values()))


def workflows_beside(workflow: Workflow) -> list[Workflow]:
    """The other workflows of the modules that define ``workflow``, which may run them as children by their names."""
    modules = [module for module in tuple(sys.modules.values()) if workflow in _workflows_of(module).values()]
    others = [other for module in modules for other in _workflows_of(module).values()]
    return [other for other in dict.fromkeys(others) if other.name != workflow.name]


def _workflows_of(module: ModuleType) -> dict[str, Workflow]:
    found = getattr(module, "__dict__", {})
    return {variable: value for variable, value in found.items() if isinstance(value, Workflow)}


def load_workflow(target: str) -> Workflow:
    """The only workflow of a file or module, or the named one. Raises LoadError."""
    workflows = load_workflows(target)
    if not workflows:
        raise LoadError(f"{target} defines tools, but no workflow")
    if len(workflows) > 1:
        names = ", ".join(workflow.name for workflow in workflows)
        raise LoadError(
            f"{target} defines {len(workflows)} workflows ({names}); name one: {target}:{workflows[0].name}"
        )
    return workflows[0]


def is_plan(target: str) -> bool:
    """Whether a target is the file of a plan."""
    return target.endswith(".json")


def load_plan_file(target: str, tools: Sequence[str]) -> tuple[Workflow, dict[str, Any]]:
    """The workflow and document of a plan. ``tools``: files or modules that register its tools. Raises LoadError."""
    if not tools:
        raise LoadError(f"{target} is a plan: say with --tools which files register its tools")
    for place in tools:
        _import(place)
    try:
        document = parse_plan(_read(target))
        return load_plan(document), cast("dict[str, Any]", document)
    except PlanError as error:
        raise LoadError(f"{target}: {error}") from error


def _read(target: str) -> bytes:
    try:
        with Path(target).open("rb") as file:
            return file.read(PLAN_BYTES + 1)  # a byte more than allowed, so that parse_plan says that it is too large
    except OSError as error:
        raise LoadError(f"{target} cannot be read: {error.strerror}") from error


def _has_name(target: str) -> bool:
    place, colon, name = target.rpartition(":")
    return bool(colon) and len(place) > 1 and "/" not in name and "\\" not in name


def _names(found: dict[str, Workflow]) -> str:
    return ", ".join(found) or "none"


def _import(place: str) -> ModuleType:
    path = Path(place)
    is_file = place.endswith(".py") or path.exists()
    if is_file and not path.is_file():
        raise LoadError(f"there is no file {place}" if not path.exists() else f"{place} is not a file")
    try:
        return _import_file(path) if is_file else importlib.import_module(place)
    except ModuleNotFoundError as error:
        raise LoadError(f"{place}: there is no module {error.name!r}") from error
    except SyntaxError as error:
        raise LoadError(f"{place}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        raise LoadError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error


def _import_file(path: Path) -> ModuleType:
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # like ``python FILE``
    name = path.stem if path.stem.isidentifier() else "_workflow_file"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pickle, dataclasses and get_type_hints look up the module of a class
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
