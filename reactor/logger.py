"""The log lines of the library: standard ``logging``, logger ``reactor``. Handlers are the application's; it has none.

A line is a sentence and fields: ``logger.warning("run not recovered", run_id=…, reason=…)``. Handlers get one text, and
the fields by themselves as ``record.fields``.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any, Final

import structlog
from structlog.stdlib import BoundLogger
from structlog.typing import EventDict


def get_logger(name: str = "reactor") -> BoundLogger:
    """A logger under ``reactor``. What an application does with structlog's own configuration does not change it."""
    return structlog.wrap_logger(
        logging.getLogger(name), processors=[structlog.stdlib.filter_by_level, _to_record], wrapper_class=BoundLogger
    )


_REMEMBERED: Final = 1_000
"""How many sentences ``warn_once`` remembers."""


@lru_cache(maxsize=_REMEMBERED)
def warn_once(sentence: str) -> None:
    """Logs a warning about what somebody wrote, unless this process has said it before."""
    get_logger().warning(sentence)


def _to_record(logger: object, method: str, event: EventDict) -> tuple[tuple[str], dict[str, Any]]:
    """The arguments of ``logging``: the sentence with its fields behind it, and below it a traceback as it is."""
    sentence = str(event.pop("event"))
    fields = dict(event)
    traceback = event.pop("traceback", None)
    text = " ".join([sentence, *(f"{name}={value}" for name, value in event.items())])
    return (text if traceback is None else f"{text}\n{traceback}",), {
        "extra": {"fields": {"event": sentence, **fields}}
    }
