"""The log lines of the library: standard ``logging``, logger ``reactor``. Handlers are the application's; it has none.

A line is a sentence and fields: ``logger.warning("run not recovered", run_id=…, reason=…)``; a field that is None is
left out. Handlers get one text, and the fields by themselves as ``record.fields``. A traceback is ``record.exc_info``,
as everywhere in ``logging``. ``docs/logging.md`` lists all lines.
"""

from __future__ import annotations

import logging
import sys
import traceback
from functools import lru_cache
from typing import Any, Final, cast

import structlog
from structlog.stdlib import BoundLogger
from structlog.typing import EventDict

_FRAMES: Final = 5
"""How far the caller of a log method is from ``logging``: what stands between them is not where a line comes from."""
_VALUE_CHARS: Final = 2000
"""How much of a value stands in the text of a line. ``record.fields`` has all of it."""


def get_logger(name: str = "reactor") -> BoundLogger:
    """A logger under ``reactor``. What an application does with structlog's own configuration does not change it."""
    lazy = structlog.wrap_logger(
        logging.getLogger(name), processors=[structlog.stdlib.filter_by_level, _to_record], wrapper_class=_Logger
    )
    return cast(BoundLogger, lazy.bind())  # the lazy one would be built again at each call


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of one of our lines, with its sentence as ``event``; empty for a record of another library."""
    return dict(getattr(record, "fields", {}))


def lift_fields(logger: object, method: str, event: EventDict) -> EventDict:
    """A processor for ``structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[lift_fields])``.

    The lines of this library then have their fields as keys, like those that structlog itself has made.
    """
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event.update(fields_of(record))
    return event


class _Logger(BoundLogger):
    def _proxy_to_logger(self, *arguments: Any, **fields: Any) -> Any:
        try:
            return super()._proxy_to_logger(*arguments, **fields)
        except Exception:  # of a handler or a filter of the application's: a line must not end a run
            if logging.raiseExceptions and sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]  # None without a console
                traceback.print_exc()
            return None


_REMEMBERED: Final = 1_000
"""How many sentences ``warn_once`` remembers."""


@lru_cache(maxsize=_REMEMBERED)
def warn_once(sentence: str) -> None:
    """Logs a warning about what somebody wrote, unless this process has said it before."""
    get_logger().warning(sentence)


def _to_record(logger: object, method: str, event: EventDict) -> tuple[tuple[str], dict[str, Any]]:
    """The arguments of ``logging``: the sentence with its fields behind it; the traceback apart."""
    sentence = str(event.pop("event"))
    error = event.pop("exc_info", None)
    event = {name: value for name, value in event.items() if value is not None}
    text = " ".join([sentence, *(f"{name}={_one_line(value)}" for name, value in event.items())])
    return (text,), {
        "exc_info": error,
        "stacklevel": _FRAMES,
        "extra": {"fields": {"event": sentence, **event}},
    }


def _one_line(value: object) -> str:
    """A value as text that neither ends a line nor moves a cursor: it may come from a user."""
    text = str(value)
    text = text if len(text) <= _VALUE_CHARS else text[:_VALUE_CHARS] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
