"""``ctx.log``: the log lines of a task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from reactor.definition.names import missing_attribute

LEVELS: Final = ("debug", "info", "warning", "error")


class TaskLog:
    """``ctx.log``: the log lines of a task, as ``log.created`` events: ``ctx.log.info("loaded", rows=12)``.

    Each call returns an awaitable like ``ctx.emit``; raises EventTooLarge above 48 KiB.
    """

    __slots__ = ("_write",)
    name = "ctx.log"
    """As users write it, for errors."""

    def __init__(self, write: Callable[[str, str, Mapping[str, Any]], Awaitable[None]]) -> None:
        self._write = write

    def debug(self, message: str, /, **fields: Any) -> Awaitable[None]:
        return self._write("debug", message, fields)

    def info(self, message: str, /, **fields: Any) -> Awaitable[None]:
        return self._write("info", message, fields)

    def warning(self, message: str, /, **fields: Any) -> Awaitable[None]:
        return self._write("warning", message, fields)

    def error(self, message: str, /, **fields: Any) -> Awaitable[None]:
        return self._write("error", message, fields)

    if not TYPE_CHECKING:  # else type checkers would take any attribute, and any call

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self.name, name, LEVELS)

        def __call__(self, *_: Any, **__: Any) -> Any:
            raise TypeError("ctx.log cannot be called; write ctx.log.info(...), or debug, warning, error")
