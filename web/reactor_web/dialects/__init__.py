"""How a message of a run becomes bytes of a stream: the one place that makes frames. Pure: no aiohttp, no loop.

base       Dialect: what the streams need of any dialect, and what some have besides
framing    what is done to frames whatever their dialect
reading    what dialects that fold read from events
native     NATIVE: events and notices as they are in the log
ndjson     NDJSON: the same as lines of JSON, chosen by media type
table      the dialects by name: ``register`` adds one
"""

from reactor_web.dialects.base import (
    EVENT_STREAM,
    Answers,
    Batch,
    Configurable,
    Dialect,
    DialectInfo,
    DialectOption,
    End,
    Opening,
    Opens,
    Shows,
)
from reactor_web.dialects.ndjson import NDJSON
from reactor_web.dialects.table import UnknownDialect, find, find_named, known, register

__all__ = [
    "EVENT_STREAM",
    "NDJSON",
    "Answers",
    "Batch",
    "Configurable",
    "Dialect",
    "DialectInfo",
    "DialectOption",
    "End",
    "Opening",
    "Opens",
    "Shows",
    "UnknownDialect",
    "find",
    "find_named",
    "known",
    "register",
]
