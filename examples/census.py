"""A census of Python source: what the standard library is made of, what is complex, what imports itself in circles.

    reactor run   examples/census.py                       the standard library of the running Python
    reactor run   examples/census.py root=src limit=100    any folder of Python source
    reactor serve examples/census.py

                                         .-> import_graph -> cycles -.
    modules -> parse[0] parse[1] ... ----+-> sizes ------------------+-> report
                                         '-> complexity -------------'

`root` is the folder that would stand on `sys.path`; when it is itself a package, names start with the package's.
Every output is plain JSON: that is what lets a run be followed over HTTP and be recovered after a crash.
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
"""Modules in one `parse` child: small enough to see many of them arrive, large enough to be worth an event."""
TOP: Final = 15
"""Length of every "the largest ..." list."""
SKIPPED_FOLDERS: Final = {"test", "tests", "idle_test", "__pycache__", "node_modules"}
BANDS: Final = {"1-5": 5, "6-10": 10, "11-20": 20, "21-50": 50, "over 50": 10**9}
"""The usual bands of cyclomatic complexity, by their upper bound."""

# Sources of others may hold invalid escapes; the compiler's remarks on them are not this program's output.
SOURCE_NAME: Final = "<census>"
warnings.filterwarnings("ignore", module=SOURCE_NAME)

# CPython before 3.11.8 and 3.12.2 counts depth in a tree for all threads together (python/cpython#106905): of two
# trees built at once, one may end as "SystemError: AST constructor recursion depth mismatch".
PARSER: Final = threading.Lock()


# --- which modules there are ------------------------------------------------------------------------------------


@flow.task(meta={"title": "Find the modules"})
def modules(root: str = "", limit: int = 0) -> list[dict[str, Any]]:
    """Batches `{label, base, files}` of about a dozen modules each; the paths in `files` are relative to `base`."""
    if limit < 0:
        raise ValueError(f"limit is {limit}; it is a number of modules, or 0 for all")
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
    """The folder dotted names start from: the first one upwards that is not a package."""
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
    return folder


def source_files(folder: Path) -> Iterator[Path]:
    """Every module below `folder`, without tests and without what cannot be imported from there."""
    for parent, folders, names in os.walk(folder):
        # A name with a dash (site-packages, config-3.11-...) or a dot is no package; neither is a virtual environment.
        folders[:] = [
            name
            for name in folders
            if name.isidentifier() and name not in SKIPPED_FOLDERS and not Path(parent, name, "pyvenv.cfg").exists()
        ]
        yield from (Path(parent, name) for name in names if name.endswith(".py") and name.isprintable())


def batches(files: list[str], base: str) -> list[dict[str, Any]]:
    """One or more batches a package, and batches of neighbours for the modules that stand alone."""
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


# `map` runs this once per item of what `modules` returned, at most four at a time: parsing holds Python's lock, more
# threads would only take turns.
@flow.task(map="modules", concurrency=4, meta={"title": "Parse"})
def parse(modules: dict[str, Any], ctx: Context) -> dict[str, Any]:
    """`{label, modules, functions, bands}`: a record per module, the most complex functions, a histogram."""
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
        # The overall top list is among the top lists of the batches: the rest need not travel.
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
        record["error"] = "nested deeper than the parser follows"
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
    """Where a node stands: the names around it, the function whose complexity it adds to, when its imports run."""

    prefix: str
    function: dict[str, Any] | None
    deferred: bool


class Facts:
    """What one module's syntax tree says, gathered in one walk without recursion."""

    def __init__(self, module: str, package: str) -> None:
        self.module = module
        self.package = package
        self.imports: set[str] = set()
        """What runs when the module is imported: `a.b` for `import a.b`, `a.b` too for `from a import b`."""
        self.deferred: set[str] = set()
        """What does not: inside functions, under `if TYPE_CHECKING` and `if __name__ == "__main__"`."""
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
        """Takes in one node and returns the scope of what is below it."""
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
                self.imported((alias.name for alias in node.names), scope)
            case ast.ImportFrom():
                origin = absolute(node, self.package)
                if origin is not None:
                    self.imported((join(origin, alias.name) for alias in node.names), scope)
            case _:
                if scope.function is not None:
                    scope.function["complexity"] += decisions(node)
        return scope

    def imported(self, names: Iterable[str], scope: Scope) -> None:
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
    """The absolute name of what `from ... import` imports from; None where the dots lead out of the tree."""
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
    """How many ways through a function this node adds (McCabe); lambdas count for the function around them."""
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


# --- three views of the same batches: they run at the same time --------------------------------------------------


@flow.task(meta={"title": "Who imports whom"})
def import_graph(parse: list[dict[str, Any]]) -> dict[str, Any]:
    """`{modules, imports, deferred}`: edges between modules of the tree, by module; modules without any are left out.

    An edge leads to the module that is named: `import a.b` to `a.b`, `from a import b` to `a.b` if that is a module
    and to `a` if not. (Python runs `a/__init__.py` as well; counted, every package would be one large cycle.)
    For the standard library this is about 60 KiB: its event carries a preview and a reference to the whole.
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

    `importing` are the cycles Python meets while importing; `deferred` those that need an import inside a function
    (or under `if TYPE_CHECKING`) to close. `example` is a shortest way round through the first of `modules`.
    """
    eager: dict[str, list[str]] = import_graph["imports"]
    both = {
        name: sorted({*eager.get(name, []), *import_graph["deferred"].get(name, [])})
        for name in {*eager, *import_graph["deferred"]}
    }
    importing = components(eager)
    met = {tuple(component) for component in importing}
    deferred = [component for component in components(both) if tuple(component) not in met]
    return {"importing": described(importing, eager), "deferred": described(deferred, both)}


def components(edges: dict[str, list[str]]) -> list[list[str]]:
    """Strongly connected components of two modules or more, the largest first (Tarjan 1972).

    Iterative: an import chain may be longer than Python's recursion limit.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()
    found: list[list[str]] = []
    for start in sorted(edges):
        if start in index:
            continue
        work: list[tuple[str, Iterator[str]]] = []
        opened: str | None = start
        while opened is not None or work:
            if opened is not None:
                index[opened] = low[opened] = len(index)
                path.append(opened)
                on_path.add(opened)
                work.append((opened, iter(edges.get(opened, []))))
                opened = None
            node, children = work[-1]
            for child in children:
                if child not in index:
                    opened = child
                    break
                if child in on_path:
                    low[node] = min(low[node], index[child])
            if opened is not None:
                continue
            work.pop()
            if work:
                parent = work[-1][0]
                low[parent] = min(low[parent], low[node])
            if low[node] == index[node]:
                component = [path.pop()]
                while component[-1] != node:
                    component.append(path.pop())
                on_path.difference_update(component)
                if len(component) > 1:
                    found.append(sorted(component))
    return sorted(found, key=lambda component: (-len(component), component))


def described(found: list[list[str]], edges: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "count": len(found),
        "modules": sum(map(len, found)),
        "largest": [
            {"size": len(component), "modules": component, "example": shortest_way_round(component, edges)}
            for component in found[:TOP]
        ],
    }


def shortest_way_round(component: list[str], edges: dict[str, list[str]]) -> list[str]:
    """A shortest cycle through the component's first module, which stands at both ends."""
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
    raise AssertionError(f"no way round {component}: the component is not strongly connected")


# --- the result -------------------------------------------------------------------------------------------------


@flow.task(meta={"title": "Write the report"})
def report(
    sizes: dict[str, Any], complexity: dict[str, Any], import_graph: dict[str, Any], cycles: dict[str, Any]
) -> dict[str, Any]:
    """The figures of every view, and `text`: the same for people."""
    edges = {kind: sum(map(len, import_graph[kind].values())) for kind in ("imports", "deferred")}
    figures = {"sizes": sizes, "complexity": complexity, "edges": edges, "cycles": cycles}
    return {"text": "\n".join(written(figures)), **figures}


def written(figures: dict[str, Any]) -> Iterator[str]:
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
