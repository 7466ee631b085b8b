"""Loads what a command line names: ``FILE.py`` or ``package.module``, with or without ``:name``, or ``PLAN.json``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

import reactor
import reactor_web
from reactor.bounds import PLAN_BYTES
from reactor.definition.workflow import Workflow
from reactor.errors import PlanError
from reactor.plans.load import load_plan, parse_plan
from reactor.plans.tools import Tool

_OURS: Final = [Path(package.__file__).parent for package in (reactor, reactor_web) if package.__file__]


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
    if not found and not any(_is_a(Tool, value) for value in list(vars(module).values())):
        raise LoadError(f"{place} defines no workflow at module level")
    return list(dict.fromkeys(found.values()))


def workflows_beside(workflow: Workflow) -> list[Workflow]:
    """The other workflows of the modules that define ``workflow``, which may run them as children by their names."""
    modules = [module for module in tuple(sys.modules.values()) if workflow in _workflows_of(module).values()]
    others = [other for module in modules for other in _workflows_of(module).values()]
    return [other for other in dict.fromkeys(others) if other.name != workflow.name]


def _workflows_of(module: ModuleType) -> dict[str, Workflow]:
    try:
        members = list(vars(module).items())
    except Exception:  # a lazy object in the place of a module, of a library that fails to load
        return {}
    return {variable: value for variable, value in members if _is_a(Workflow, value)}


def _is_a(kind: type, value: object) -> bool:
    """``isinstance``, which asks a lazy object for its ``__class__``, and that may load or raise anything."""
    try:
        return isinstance(value, kind)
    except Exception:
        return False


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
        try:
            _import(place)
        except LoadError as error:
            raise LoadError(f"--tools: {error}") from error
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
    is_package = path.is_dir() and (path / "__init__.py").is_file() and "/" not in place
    is_file = place.endswith(".py") or (path.exists() and not is_package)
    if is_file and not path.is_file():
        what = f"{place} is a folder: name a file in it, or a module" if path.is_dir() else f"there is no file {place}"
        raise LoadError(what)
    try:
        return _import_file(path) if is_file else _import_module(place)
    except ModuleNotFoundError as error:
        raise LoadError(f"{place}: there is no module {error.name!r}{_where(error)}") from error
    except SyntaxError as error:
        raise LoadError(f"{_shown(error.filename or place)}, line {error.lineno}: {error.msg}") from error
    except SystemExit as error:
        raise LoadError(
            f'{place} ends the process while it is imported{_where(error)}; put that under if __name__ == "__main__":'
        ) from error
    except Exception as error:
        hint = "; a file that imports with a dot needs an __init__.py beside it" if _is_relative(error) else ""
        raise LoadError(f"{place} cannot be imported: {type(error).__name__}: {error}{_where(error)}{hint}") from error


def _where(error: BaseException) -> str:
    """The last line of the user's own files that led to the error, as `` (flow.py, line 3)``; empty if there is none.

    A library that they call raises far below them, and a traceback of it says little about what to correct.
    """
    lines = [(frame.f_code.co_filename, number) for frame, number in traceback.walk_tb(error.__traceback__)]
    own = [(file, number) for file, number in lines if is_users(Path(file))]
    return f" ({_shown(own[-1][0])}, line {own[-1][1]})" if own else ""


def is_users(file: Path) -> bool:
    """Whether a file is of the user's own project: no library, and none of ours."""
    libraries = [Path(sysconfig.get_path("stdlib")), *_OURS]
    is_library = "site-packages" in file.parts or any(file.is_relative_to(folder) for folder in libraries)
    return file.is_file() and not is_library


def _shown(file: str) -> str:
    """The path of a file from here, where it is below."""
    path = Path(file).absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _is_relative(error: BaseException) -> bool:
    return isinstance(error, ImportError) and "no known parent package" in str(error)


def _import_module(name: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # like ``python -m``: the command itself is somewhere else
    return importlib.import_module(name)


def _import_file(path: Path) -> ModuleType:
    package = _package_of(path.resolve())
    folder = str(path.resolve().parents[len(package)])
    if folder not in sys.path:
        sys.path.insert(0, folder)  # like ``python FILE``, or ``python -m`` for a file of a package
    if package:
        module = importlib.import_module(".".join([*package, path.stem]))
        if module.__file__ is not None and Path(module.__file__).resolve() == path.resolve():
            return module  # else another module has this name
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


def _package_of(path: Path) -> list[str]:
    """The names of the packages that a file is in, the outermost first; ``__init__.py`` makes a folder a package."""
    names: list[str] = []
    for folder in path.parents:
        if not ((folder / "__init__.py").is_file() and folder.name.isidentifier()):
            break
        names.insert(0, folder.name)
    return names if path.stem.isidentifier() else []
