"""What is served and packed: types that are true, sizes that are small, no dependency, nothing from elsewhere."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import tomllib

from reactor_web.routes.client import client_files
from tests.helpers.node import node_script
from tests.helpers.paths import ROOT
from tests.web.javascript.types import FOLDER, declarations

SERVED_BYTES = 14 * 1024
CORE_BYTES = 7_800
MODULES = sorted(FOLDER.glob("*.js"))


def loaded(name: str) -> set[str]:
    """The modules that a page loads with this one."""
    found, left = {name}, [name]
    while left:
        text = (FOLDER / left.pop()).read_text()
        for other in re.findall(r'^(?:import|export) [^;]*?from "\./([a-z_]+\.js)";', text, re.M):
            if other not in found:
                found.add(other)
                left.append(other)
    return found


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
        allowed = {"react"} if module.name in ("live.js", "react.js", "workflow_stream.js") else set[str]()
        assert {other for other in others if not other.startswith("./")} <= allowed, module.name


def test_sizes() -> None:
    """As served, what a page loads is at most 14 KB; its core, minified, is at most 7.8 KB; both compressed."""
    core = sorted(loaded("reactor.js"))
    served = sum(len(client_files()[name].compressed) for name in core)
    [code] = minified(["\n".join((FOLDER / name).read_text() for name in core)])
    sizes = (served, len(gzip.compress(code.encode(), mtime=0)))
    assert sizes[0] <= SERVED_BYTES, sizes
    assert sizes[1] <= CORE_BYTES, sizes


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
