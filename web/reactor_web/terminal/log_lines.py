"""Where the command shows log lines: on stderr, because stdout belongs to the events and outputs of the run."""

from __future__ import annotations

import logging
import sys


def log_to_stderr(level: int = logging.INFO) -> None:
    """Shows the log lines of the library, from this level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s [%(levelname)s] %(message)s"))
    logger = logging.getLogger("reactor")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
