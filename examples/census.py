"""A census of Python source: how large the standard library is, what is complex, and which modules import in circles.

    reactor run   examples/census.py                       the standard library of the running Python
    reactor run   examples/census.py root=src limit=100    any folder of Python source
    reactor serve examples/census.py

                                         .-> import_graph -> cycles -.
    modules -> parse[0] parse[1] ... ----+-> sizes ------------------+-> report
                                         '-> complexity -------------'

`root` is a folder that could be on `sys.path`. If it is a package itself, module names begin with the package's name.
Every output is plain JSON, so that a run can be followed over HTTP and recovered after a crash.
"""

import ast
import os
import sysconfig
import threading
import warnings
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from reactor import Context, Workflow

flow = Workflow("census")

BATCH: Final = 12
"""Modules in one `parse` child: few enough to see many children arrive, enough to be worth an event each."""
TOP: Final = 15
"""The length of every "the largest ..." list."""
SKIPPED_FOLDERS: Final = {"test", "tests", "idle_test", "__pycache__", "node_modules"}
BANDS: Final = {"1-5": 5, "6-10": 10, "11-20": 20, "21-50": 50, "over 50": 10**9}
"""The usual bands of cyclomatic complexity; the value is the upper bound."""

# The source that is parsed may have invalid escapes; warnings about them would be noise here.
SOURCE_NAME: Final = "<census>"
warnings.filterwarnings("ignore", module=SOURCE_NAME)

# Before 3.11.8 and 3.12.2, CPython counts the depth of syntax trees for all threads together (python/cpython#106905).
# If two are built at once, one may fail with "SystemError: AST constructor recursion depth mismatch".
PARSER: Final = threading.Lock()


# --- which modules there are ------------------------------------------------------------------------------------


@flow.task(meta={"title": "Find the modules"})
def modules(root: str = "", limit: int = 0) -> list[dict[str, Any]]:
    """Batches `{label, base, files}` of about a dozen modules each; the paths in `files` are relative to `base`."""
    if limit < 0:
        raise ValueError(f"limit must be a number of modules, or 0 for all, not {limit}")
    folder = source_folder(root)
    base = import_base(folder)
    files = sorted(path.relative_to(base).as_posix() for path in source_files(folder))
    if not files:
        raise ValueError(f"no Python module under {str(folder)!r}")
    return batches(files[: limit or None], str(base))


def source_folder(root: str) -> Path:
    if not root:
        return Path(sysconfig.get_paths()["stdlib"])
    try:
        folder = Path(root).expanduser().resolve()
        if folder.is_dir():
            return folder
    except (OSError, RuntimeError, ValueError) as error:  # too long, no such home, a null byte
        raise ValueError(f"root {root[:200]!r} is not a folder: {error}") from error
    raise ValueError(f"root {root!r} is not a folder (looked for {str(folder)!r})")


def import_base(folder: Path) -> Path:
    """The folder that dotted names start from: the nearest one, upwards, that is not a package."""
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
    return folder


def source_files(folder: Path) -> Iterator[Path]:
    """Every module below `folder` that can be imported from there, without tests."""
    for parent, folders, names in os.walk(folder):
        # A folder with a dash (site-packages) or a dot in its name is not a package, nor is a virtual environment.
        folders[:] = [
            name
            for name in folders
            if name.isidentifier() and name not in SKIPPED_FOLDERS and not Path(parent, name, "pyvenv.cfg").exists()
        ]
        yield from (Path(parent, name) for name in names if name.endswith(".py") and name.isprintable())


def batches(files: list[str], base: str) -> list[dict[str, Any]]:
    """One or more batches for each package, and batches of neighbours for the modules outside packages."""
    groups: dict[str, list[str]] = {}
    for file in files:
        package, slash, _ = file.partition("/")
        groups.setdefault(package if slash else "", []).append(file)
    found: list[dict[str, Any]] = []
    for package, members in groups.items():
        parts = [members[at : at + BATCH] for at in range(0, len(members), BATCH)]
        for number, part in enumerate(parts, 1):
            if package:
                label = package if len(parts) == 1 else f"{package} {number}/{len(parts)}"
            else:
                label = " .. ".join(dict.fromkeys(dotted_name(file)[0] for file in (part[0], part[-1])))
            found.append({"label": label, "base": base, "files": part})
    return sorted(found, key=lambda batch: batch["files"])


# --- one batch of modules ---------------------------------------------------------------------------------------


# `map` runs this once for each item of the list that `modules` returned, at most four at a time. Parsing holds Python's
# global lock, so more threads would not be faster.
@flow.task(map="modules", concurrency=4, meta={"title": "Parse"})
def parse(modules: dict[str, Any], ctx: Context) -> dict[str, Any]:
    """`{label, modules, functions, bands}`: a record for each module, the most complex functions, a histogram."""
    records: list[dict[str, Any]] = []
    functions: list[dict[str, Any]] = []
    files = modules["files"]
    for done, file in enumerate(files, 1):
        record, found = parse_module(Path(modules["base"], file), file)
        records.append(record)
        functions += found
        if record["error"]:
            ctx.log.warning("module does not parse", module=record["name"], error=record["error"])
        ctx.progress(done / len(files), record["name"])
    return {
        "label": modules["label"],
        "modules": records,
        # The overall top list can only have members of the batches' top lists, so the rest is not sent on.
        "functions": most_complex(functions),
        "bands": dict(Counter(band(function["complexity"]) for function in functions)),
    }


def parse_module(path: Path, file: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The record of one module and its functions; a file that cannot be read or parsed is a record with `error`."""
    name, is_package = dotted_name(file)
    record: dict[str, Any] = {"name": name, "lines": 0, "code": 0, "functions": 0, "classes": 0}
    record |= {"imports": [], "deferred": [], "error": None}
    try:
        source = path.read_bytes()
        record["lines"] = len(source.splitlines())
        with PARSER:
            tree = ast.parse(source, SOURCE_NAME)
        facts = Facts(name, name if is_package else name.rpartition(".")[0])
        facts.visit_all(tree)
    except SyntaxError as error:
        record["error"] = f"line {error.lineno}: {error.msg[:200]}" if error.lineno else error.msg[:200]
        return record, []
    except (RecursionError, MemoryError):
        record["error"] = "nested too deeply for the parser"
        return record, []
    except (OSError, ValueError) as error:
        record["error"] = str(error)[:200]
        return record, []
    record["code"] = facts.code_lines(source)
    record["functions"] = len(facts.functions)
    record["classes"] = facts.classes
    record["imports"] = sorted(facts.imports)
    record["deferred"] = sorted(facts.deferred - facts.imports)
    return record, facts.functions


def dotted_name(file: str) -> tuple[str, bool]:
    """`email/mime/text.py` -> `email.mime.text`, and whether the file is a package's `__init__`."""
    parts = file.removesuffix(".py").split("/")
    if parts[-1] == "__init__" and len(parts) > 1:
        return ".".join(parts[:-1]), True
    return ".".join(parts), False


class Scope(NamedTuple):
    """Where a node is: the names around it, the function it makes more complex, and whether its imports run later."""

    prefix: str
    function: dict[str, Any] | None
    deferred: bool


class Facts:
    """What the syntax tree of one module says, collected in one walk without recursion."""

    def __init__(self, module: str, package: str) -> None:
        self.module = module
        self.package = package
        self.imports: set[str] = set()
        """Imports that run when the module is imported: `a.b` for `import a.b`, and also for `from a import b`."""
        self.deferred: set[str] = set()
        """Imports that do not: inside functions, under `if TYPE_CHECKING` and `if __name__ == "__main__"`."""
        self.functions: list[dict[str, Any]] = []
        self.classes = 0
        self.docstring_lines: set[int] = set()
        self.string_lines: set[int] = set()

    def visit_all(self, tree: ast.Module) -> None:
        self.docstring(tree)
        stack: list[tuple[ast.AST, Scope]] = [(tree, Scope("", None, False))]
        while stack:
            node, scope = stack.pop()
            scope = self.visit(node, scope)
            body_scope = scope
            if isinstance(node, ast.If) and is_never_on_import(node.test):
                body_scope = scope._replace(deferred=True)
            for field in node._fields:
                value: Any = getattr(node, field, None)
                below = body_scope if field == "body" else scope
                if isinstance(value, list):
                    children = cast("list[object]", value)
                    stack += [(child, below) for child in children if isinstance(child, ast.AST)]
                elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context | ast.operator):
                    stack.append((value, below))

    def visit(self, node: ast.AST, scope: Scope) -> Scope:
        """Reads one node and returns the scope of the nodes below it."""
        match node:
            case ast.Name() | ast.Attribute():
                pass
            case ast.Constant(value=str() | bytes()) | ast.JoinedStr():
                if node.end_lineno is not None and node.end_lineno > node.lineno:
                    self.string_lines.update(range(node.lineno, node.end_lineno + 1))
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.docstring(node)
                name = scope.prefix + node.name
                function = {"name": f"{self.module}:{name}", "line": node.lineno, "complexity": 1}
                self.functions.append(function)
                return Scope(name + ".", function, True)
            case ast.ClassDef():
                self.docstring(node)
                self.classes += 1
                return Scope(f"{scope.prefix}{node.name}.", None, scope.deferred)
            case ast.Import():
                self.add_imports((alias.name for alias in node.names), scope)
            case ast.ImportFrom():
                origin = absolute(node, self.package)
                if origin is not None:
                    self.add_imports((join(origin, alias.name) for alias in node.names), scope)
            case _:
                if scope.function is not None:
                    scope.function["complexity"] += decisions(node)
        return scope

    def add_imports(self, names: Iterable[str], scope: Scope) -> None:
        (self.deferred if scope.deferred else self.imports).update(names)

    def docstring(self, node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        first = node.body[0] if node.body else None
        match first:
            case ast.Expr(value=ast.Constant(value=str())):
                self.docstring_lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
            case _:
                pass

    def code_lines(self, source: bytes) -> int:
        """Lines that are neither blank, nor a comment, nor part of a docstring."""
        count = 0
        for number, line in enumerate(source.splitlines(), 1):
            text = line.strip()
            if number in self.docstring_lines or not text:
                continue
            count += not text.startswith(b"#") or number in self.string_lines
        return count


def absolute(node: ast.ImportFrom, package: str) -> str | None:
    """The absolute name of the module in `from ... import`; None if its dots lead out of the tree."""
    if not node.level:
        return node.module
    parts = package.split(".") if package else []
    if node.level > len(parts):
        return None
    return ".".join(parts[: len(parts) - node.level + 1] + ([node.module] if node.module else []))


def join(origin: str, name: str) -> str:
    return origin if name == "*" else f"{origin}.{name}"


def is_never_on_import(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
        case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()]):
            return True
        case _:
            return False


def decisions(node: ast.AST) -> int:
    """How many paths through a function this node adds (McCabe); lambdas count for the function around them."""
    match node:
        case ast.If() | ast.IfExp() | ast.For() | ast.AsyncFor() | ast.While() | ast.ExceptHandler():
            return 1
        case ast.BoolOp(values=values):
            return len(values) - 1
        case ast.comprehension(ifs=conditions):
            return 1 + len(conditions)
        case ast.match_case(pattern=pattern, guard=guard):
            return 0 if guard is None and is_wildcard(pattern) else 1
        case _:
            return 0


def is_wildcard(pattern: ast.pattern) -> bool:
    return isinstance(pattern, ast.MatchAs) and pattern.pattern is None


def band(complexity: int) -> str:
    return next(name for name, highest in BANDS.items() if complexity <= highest)


def most_complex(functions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(functions, key=lambda function: (-function["complexity"], function["name"]))[:TOP]


# --- three views of the same batches, which run at the same time --------------------------------------------------


@flow.task(meta={"title": "Who imports whom"})
def import_graph(parse: list[dict[str, Any]]) -> dict[str, Any]:
    """`{modules, imports, deferred}`: module -> the modules of the tree that it imports, if there are any.

    `import a.b` leads to `a.b`; `from a import b` leads to `a.b` if that is a module, else to `a`. Python also runs
    `a/__init__.py`, but if that were counted, every package would be one large cycle. For the standard library the
    output has about 60 KiB, so its event has only a preview and a reference to the whole.
    """
    records = [record for batch in parse for record in batch["modules"]]
    known = {record["name"] for record in records}
    graph: dict[str, Any] = {"modules": len(known)}
    for kind in ("imports", "deferred"):
        edges = {record["name"]: targets(record["name"], record[kind], known) for record in records}
        graph[kind] = {name: found for name, found in edges.items() if found}
    return graph


def targets(module: str, names: list[str], known: set[str]) -> list[str]:
    found = {owner for name in names if (owner := nearest(name, known))}
    return sorted(found - {module})


def nearest(name: str, known: set[str]) -> str | None:
    """The longest prefix of a dotted name that is a module of the tree."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


@flow.task(meta={"title": "Add up"})
def sizes(parse: list[dict[str, Any]]) -> dict[str, Any]:
    """`{modules, lines, code, functions, classes, unparsed, largest, packages}`."""
    records = [record for batch in parse for record in batch["modules"]]
    packages: Counter[str] = Counter()
    for record in records:
        packages[record["name"].partition(".")[0]] += record["code"]
    largest = sorted(records, key=lambda record: (-record["code"], record["name"]))[:TOP]
    totals: dict[str, Any] = {"modules": len(records)}
    for figure in ("lines", "code", "functions", "classes"):
        totals[figure] = sum(record[figure] for record in records)
    return totals | {
        "unparsed": [{"name": record["name"], "error": record["error"]} for record in records if record["error"]],
        "largest": [{"name": record["name"], "code": record["code"]} for record in largest],
        "packages": [{"name": name, "code": code} for name, code in packages.most_common(TOP)],
    }


@flow.task(meta={"title": "Rank the functions"})
def complexity(parse: list[dict[str, Any]]) -> dict[str, Any]:
    """`{functions, bands}`: the most complex functions, and how many functions there are in each band."""
    counted: Counter[str] = Counter()
    for batch in parse:
        counted.update(batch["bands"])
    return {
        "functions": most_complex(function for batch in parse for function in batch["functions"]),
        "bands": {name: counted[name] for name in BANDS},
    }


# --- cycles -----------------------------------------------------------------------------------------------------


@flow.task(meta={"title": "Find import cycles"})
def cycles(import_graph: dict[str, Any]) -> dict[str, Any]:
    """`{importing, deferred}`, each `{count, modules, largest: [{size, modules, example}]}`.

    `importing` are the cycles that Python meets while it imports; `deferred` are those that exist only with an import
    inside a function (or under `if TYPE_CHECKING`). `example` is a shortest cycle through the first of `modules`.
    """
    eager: dict[str, list[str]] = import_graph["imports"]
    both = {
        name: sorted({*eager.get(name, []), *import_graph["deferred"].get(name, [])})
        for name in {*eager, *import_graph["deferred"]}
    }
    importing = components(eager)
    met = {tuple(component) for component in importing}
    deferred = [component for component in components(both) if tuple(component) not in met]
    return {"importing": describe(importing, eager), "deferred": describe(deferred, both)}


def components(edges: dict[str, list[str]]) -> list[list[str]]:
    """Strongly connected components of two modules or more, the largest first (Kosaraju's algorithm).

    Without recursion: a chain of imports may be longer than Python's recursion limit.
    """
    backward: dict[str, list[str]] = {}
    for name, imported in edges.items():
        for target in imported:
            backward.setdefault(target, []).append(name)
    seen: set[str] = set()
    found: list[list[str]] = []
    for start in reversed(finish_order(edges)):
        component: list[str] = []
        stack = [start]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                component.append(node)
                stack += backward.get(node, [])
        if len(component) > 1:
            found.append(sorted(component))
    return sorted(found, key=lambda component: (-len(component), component))


def finish_order(edges: dict[str, list[str]]) -> list[str]:
    """The modules in the order in which a depth-first search leaves them."""
    seen: set[str] = set()
    order: list[str] = []
    for start in sorted(edges):
        if start in seen:
            continue
        seen.add(start)
        path = [(start, iter(edges.get(start, [])))]
        while path:
            node, targets_left = path[-1]
            child = next((target for target in targets_left if target not in seen), None)
            if child is None:
                order.append(node)
                path.pop()
            else:
                seen.add(child)
                path.append((child, iter(edges.get(child, []))))
    return order


def describe(found: list[list[str]], edges: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "count": len(found),
        "modules": sum(map(len, found)),
        "largest": [
            {"size": len(component), "modules": component, "example": shortest_cycle(component, edges)}
            for component in found[:TOP]
        ],
    }


def shortest_cycle(component: list[str], edges: dict[str, list[str]]) -> list[str]:
    """A shortest cycle through the first module of a component, which is at both ends of the list."""
    start, members = component[0], set(component)
    came_from: dict[str, str] = {}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for child in edges.get(node, []):
            if child == start:
                way = [start, node]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if child in members and child not in came_from:
                came_from[child] = node
                queue.append(child)
    raise AssertionError(f"there is no cycle in {component}: it is not strongly connected")


# --- the result -------------------------------------------------------------------------------------------------


@flow.task(meta={"title": "Write the report"})
def report(
    sizes: dict[str, Any], complexity: dict[str, Any], import_graph: dict[str, Any], cycles: dict[str, Any]
) -> dict[str, Any]:
    """The figures of every view, and `text`, a report for people."""
    edges = {kind: sum(map(len, import_graph[kind].values())) for kind in ("imports", "deferred")}
    figures = {"sizes": sizes, "complexity": complexity, "edges": edges, "cycles": cycles}
    return {"text": "\n".join(report_lines(figures)), **figures}


def report_lines(figures: dict[str, Any]) -> Iterator[str]:
    sizes, edges = figures["sizes"], figures["edges"]
    yield (
        f"{sizes['modules']:,} modules, {sizes['lines']:,} lines, {sizes['code']:,} of them code; "
        f"{sizes['functions']:,} functions, {sizes['classes']:,} classes"
    )
    yield f"{edges['imports']:,} imports between them, and {edges['deferred']:,} deferred into functions"
    if sizes["unparsed"]:
        yield from section(f"Not parsed ({len(sizes['unparsed'])})")
        yield from (f"  {module['name']}: {module['error']}" for module in sizes["unparsed"][:TOP])
    yield from section("Largest modules, lines of code")
    yield from (f"  {module['code']:>7,}  {module['name']}" for module in sizes["largest"][:10])
    yield from section("Most complex functions, ways through")
    yield from (f"  {item['complexity']:>7,}  {item['name']}" for item in figures["complexity"]["functions"][:10])
    yield "  " + "   ".join(f"{name}: {count:,}" for name, count in figures["complexity"]["bands"].items())
    for kind, title in (("importing", "Import cycles"), ("deferred", "Cycles closed by a deferred import")):
        found = figures["cycles"][kind]
        count = f"{found['count']}, through {found['modules']} modules" if found["count"] else "none"
        yield from section(f"{title}: {count}")
        yield from (f"  {cycle['size']:>7,}  {arrows(cycle['example'])}" for cycle in found["largest"][:5])


def section(title: str) -> tuple[str, str]:
    return "", title


def arrows(way: list[str]) -> str:
    return way[0] + "".join(f" -> {name}" for _, name in pairwise(way))
