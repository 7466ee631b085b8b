"""What is served and packed: types that are true, sizes that are small, no dependency, nothing from elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

from reactor_web.routes.client import client_files
from tests.helpers.node import find_node, node_script
from tests.helpers.paths import ROOT
from tests.node.install import npm
from tests.web.javascript.modules import loaded
from tests.web.javascript.types import FOLDER, PACKAGES, declarations

SERVED_BYTES = 14 * 1024
BROTLI_BYTES = 74 * 1024 // 10
GZIP_BYTES = 81 * 1024 // 10
MODULE_LINES = 350
MODULES = sorted(FOLDER.glob("*.js"))
HOOKS = ("live.js", "use_chat.js", "use_run.js", "use_runs.js", "workflow_stream.js")


def minified(texts: list[str]) -> list[str]:
    command = node_script("minify.mjs")
    done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_types_are_those_of_the_code() -> None:
    """``tsc --strict`` has nothing against the JSDoc, and the files beside the modules are what it makes of it."""
    node_script("reader.mjs")  # skips where the packages are missing
    made = declarations()
    assert made == {path.name: path.read_text() for path in FOLDER.glob("*.d.ts")}, (
        "run python -m tests.web.javascript.types"
    )


def test_modules_import_one_another_and_nothing_else() -> None:
    """No dependency but React's hooks on React, and no URL of elsewhere."""
    for module in MODULES:
        text = module.read_text()
        code = re.sub(r"//.*|/\*.*?\*/", "", text, flags=re.S) if "http" in text else text
        assert "https://" not in code, module.name
        others = re.findall(r'(?:from|import) "([^"]+)"', text)
        allowed = {"react"} if module.name in HOOKS else set[str]()
        assert {other for other in others if not other.startswith("./")} <= allowed, module.name


def test_modules_are_short() -> None:
    """As those in Python: no module above 350 lines, it would be two things."""
    lengths = {module.name: len(module.read_text().splitlines()) for module in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > MODULE_LINES} == {}


def bundled(code: str) -> dict[str, int]:
    """The bytes that a page ships which is this code, minified and compressed."""
    command = [*node_script("bundle.mjs"), str(FOLDER)]
    done = subprocess.run(command, input=code.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_sizes() -> None:
    """As served, what a page loads is at most 14 KB; what a bundler makes of following and starting is bounded, too."""
    served = sum(len(client_files()[name].compressed) for name in loaded("reactor.js"))
    core = bundled('export { follow, Reactor } from "reactor-client";')
    assert served <= SERVED_BYTES, served
    assert core["brotli"] <= BROTLI_BYTES, core
    assert core["gzip"] <= GZIP_BYTES, core


def test_what_is_served_is_the_code_without_its_comments() -> None:
    """Minified, what is served and what stands in the folder are the same text."""
    folder = [module.read_text() for module in MODULES]
    served = [client_files()[module.name].body.decode() for module in MODULES]
    assert served != folder
    assert minified(served) == minified(folder)


def test_the_package_has_the_modules_and_the_version_of_the_server() -> None:
    """``npm pack`` takes each module with its types, and every export is there."""
    package = json.loads((FOLDER / "package.json").read_bytes())
    assert package["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert "dependencies" not in package
    for exported in package["exports"].values():
        for file in exported.values() if isinstance(exported, dict) else [exported]:
            assert (FOLDER / file).exists(), file


def test_npm_packs_the_modules_their_types_and_the_readme() -> None:
    """And nothing else; the README is for npm, and is not served."""
    node_script("reader.mjs")  # skips where the packages are missing
    command = npm()
    assert command is not None
    packing = [*command, "pack", "--dry-run", "--json", "--ignore-scripts"]
    done = subprocess.run(packing, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [packed] = json.loads(done.stdout)
    types = {module.with_suffix(".d.ts").name for module in MODULES}
    assert {file["path"] for file in packed["files"]} == {
        "README.md", "package.json", *(module.name for module in MODULES), *types,
    }  # fmt: skip
    assert "README.md" not in client_files()


def test_a_user_of_the_types_is_helped_and_held(tmp_path: Path) -> None:
    """``tsc --strict`` passes what is right and refuses each line of misuse, in a project with the package."""
    node_script("reader.mjs")  # skips where the packages are missing
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/reactor-client").symlink_to(FOLDER)
    (tmp_path / "node_modules/@types").symlink_to(PACKAGES / "@types")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "user.ts").write_text((ROOT / "tests/node/types/user.ts").read_text())
    options = {"strict": True, "noEmit": True, "target": "es2022", "module": "nodenext", "preserveSymlinks": True,
               "lib": ["es2023", "dom", "dom.iterable"], "types": []}  # fmt: skip
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["user.ts"]}))
    command = [find_node(), str(PACKAGES / "typescript/bin/tsc")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
