"""Makes the ``.d.ts`` of the JavaScript client from its JSDoc: ``python -m tests.web.javascript.types``."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.helpers.node import find_node
from tests.helpers.paths import ROOT

FOLDER = ROOT / "web/reactor_web/javascript"
PACKAGES = ROOT / "tests/node/node_modules"


def declarations() -> dict[str, str]:
    """The text of each file, by name. Raises AssertionError with what ``tsc`` says against the types."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)  # without the files of the last time: tsc would read those in place of the JSDoc
        for source in (*FOLDER.glob("*.js"), *FOLDER.glob("*.json")):
            shutil.copy(source, folder)
        (folder / "node_modules").symlink_to(PACKAGES)
        command = [find_node(), str(PACKAGES / "typescript/bin/tsc"), "--project", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        return {made.name: made.read_text() for made in sorted(folder.glob("*.d.ts"))}


def main() -> None:
    for name, text in declarations().items():
        (FOLDER / name).write_text(text)
        print(name, file=sys.stderr)


if __name__ == "__main__":
    main()
