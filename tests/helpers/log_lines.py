"""The log lines that the library writes inside of a block."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def log_lines() -> Iterator[list[dict[str, Any]]]:
    """The fields of each line in order; its sentence is ``event``, its level ``log_level``, its error ``traceback``."""
    lines: list[dict[str, Any]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = {**record.fields, "log_level": record.levelname.lower()}  # type: ignore[attr-defined]
            if record.exc_info:
                line["traceback"] = logging.Formatter().formatException(record.exc_info)
            lines.append(line)

    handler, logger = Kept(), logging.getLogger("reactor")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
