"""``python -m reactor_web``: the command ``reactor``."""

from reactor_web.terminal.cli import main

main()
