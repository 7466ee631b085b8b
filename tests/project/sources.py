"""The source files: who imports whom, how long they are, which files a package names in its docstring."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.paths import ROOT

PACKAGES = (ROOT / "reactor", ROOT / "web" / "reactor_web")


MAP_LINE = re.compile(r"^ {0,4}(\w+)/? {2,}\S", re.MULTILINE)
"""``feed   what is published``, in the docstring of a package."""


def source_files() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted(package.rglob("*.py"))


def module_name(path: Path) -> str:
    """``reactor/runs/run.py`` -> ``reactor.runs.run``; a package's ``__init__.py`` has the package's name."""
    package = next(package for package in PACKAGES if path.is_relative_to(package))
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def packages() -> Iterator[Path]:
    """The folders of both packages and of the benchmarks, themselves included."""
    for package in (*PACKAGES, ROOT / "benchmarks"):
        yield from sorted(file.parent for file in package.rglob("__init__.py"))


def mapped_names(package: Path) -> list[str]:
    """The files and folders that the docstring of a package names, each at the beginning of a line."""
    return MAP_LINE.findall(ast.get_docstring(ast.parse((package / "__init__.py").read_text()), clean=False) or "")


def names_in(package: Path) -> set[str]:
    """The modules and packages in the folder of a package."""
    modules = {file.stem for file in package.glob("*.py")} - {"__init__", "__main__"}
    return modules | {file.parent.name for file in package.glob("*/__init__.py")}


def import_graph() -> dict[str, set[str]]:
    """Module -> the modules its text names in imports, at the top, in functions and under TYPE_CHECKING alike."""
    files = {module_name(path): path for path in source_files()}
    return {name: set(_imported(ast.parse(path.read_text()), files)) - {name} for name, path in files.items()}


def _imported(tree: ast.Module, files: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used in this project"
            for alias in node.names:
                names = (f"{node.module}.{alias.name}", str(node.module))
                yield from (name for name in names[: 1 if names[0] in files else 2] if name in files)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of two or more modules (Tarjan 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in graph[name]:
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            position = stack.index(name)
            component, stack[position:] = stack[position:], []
            if len(component) > 1:
                found.append(sorted(component))

    for name in graph:
        if name not in order:
            visit(name)
    return found


def long_functions(path: Path, limit: int) -> Iterator[tuple[str, int]]:
    """Name and number of lines of each function above ``limit``; decorators and the docstring do not count."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = _height(node) - (_height(node.body[0]) if ast.get_docstring(node) is not None else 0)
            if lines > limit:
                yield node.name, lines


def _height(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1
