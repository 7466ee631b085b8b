"""Where the command shows log lines: on stderr, because stdout belongs to the events and outputs of the run."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TextIO

from reactor.logger import fields_of
from reactor_web.terminal.lines import printable
from reactor_web.terminal.seldom import Seldom, left_out_of


class Level(StrEnum):
    """From which level on lines are shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Format(StrEnum):
    """How a line is written: for people, or one JSON object."""

    TEXT = "text"
    JSON = "json"


_COLOURS: Final = {"WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
_TRACEBACK: Final = "\n\t"
"""What may end a line or indent it in a traceback; all else that a terminal would obey is shown as an escape."""


class StderrHandler(logging.Handler):
    """Writes to what ``sys.stderr`` is at the moment: while a tree is drawn, its lines go above the tree."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # as in every handler of ``logging``
            self.handleError(record)


class TextFormatter(logging.Formatter):
    """``2026-11-29 12:00:00,123 [ERROR] task failed run_id=…``, with a colour for warnings and errors on a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s [%(levelname)s] %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)  # of another library's record, too: the text may be anything
        if left_out := left_out_of(record):
            text = f"{text}\n\t({left_out} more lines like this were left out before it)"
        colour = _COLOURS.get(record.levelname)
        text = printable(text, keep=_TRACEBACK)
        if colour is None or not is_coloured(sys.stderr):
            return text
        return text.replace(f"[{record.levelname}]", f"\x1b[{colour}m[{record.levelname}]\x1b[0m", 1)


class JsonFormatter(logging.Formatter):
    """``{time, level, logger, event}``, the fields of the line, and ``traceback`` where there is one. ASCII only."""

    def format(self, record: logging.LogRecord) -> str:
        fields = fields_of(record)
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {
            **fields,
            "time": time,
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": fields.get("event", record.getMessage()),
        }
        if left_out := left_out_of(record):
            line["left_out"] = left_out
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _OfStrangers(Seldom):
    """What happens to runs is always written; of what requests cause, warnings and errors are not without end."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name != "reactor.web" or record.levelno < logging.WARNING:
            return True
        return super().filter(record)


def is_coloured(stream: TextIO) -> bool:
    """Whether colours may be written: on a terminal that has them, unless ``NO_COLOR`` is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def log_to_stderr(level: Level, form: Format) -> None:
    """Shows the log lines of the library, from this level on. Call it before the files of the user are imported."""
    logger = logging.getLogger("reactor")
    handler = _handler(form)
    handler.addFilter(_OfStrangers())
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def log_others_to_stderr(form: Format) -> None:
    """Shows the warnings of other libraries alike. Call it after the import: a set-up of the user's own counts."""
    root = logging.getLogger()
    if not root.handlers:
        handler = _handler(form)
        handler.addFilter(Seldom())
        root.addHandler(handler)
        logging.captureWarnings(form == Format.JSON)  # else they would stand between the JSON lines


def _handler(form: Format) -> logging.Handler:
    handler = StderrHandler()
    handler.setFormatter(JsonFormatter() if form == Format.JSON else TextFormatter())
    return handler
