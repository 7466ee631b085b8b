"""The log lines that the library writes inside of a block."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def log_lines() -> Iterator[list[dict[str, Any]]]:
    """The fields of each line, its sentence as ``event``, in order."""
    lines: list[dict[str, Any]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.fields)  # type: ignore[attr-defined]

    handler, logger = Kept(), logging.getLogger("reactor")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
