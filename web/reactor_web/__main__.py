"""``python -m reactor_web`` is the command ``reactor``."""

from reactor_web.terminal.cli import main

if __name__ == "__main__":
    main()
