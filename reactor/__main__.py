"""``python -m reactor`` is the command ``reactor``."""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec


def main() -> None:
    """Runs the package ``reactor_web`` as a program. It is named, not imported: this package never imports that one."""
    if find_spec("reactor_web") is None:
        sys.exit("reactor: the command line needs the package reactor_web, which is not installed here")
    runpy.run_module("reactor_web", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
