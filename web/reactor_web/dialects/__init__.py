"""How a message of a run becomes bytes of a stream: the one place that makes frames. Pure: no aiohttp, no loop.

base       Dialect: what the streams need of any dialect, and what some have besides
framing    what is done to frames whatever their dialect
reading    what dialects that fold read from events
outputs    what came of a run, for dialects that answer a client that waits for the end
native     NATIVE: events and notices as they are in the log
domain     DOMAIN: flat messages as of an event broker
timeline   TIMELINE: entries for a person beside a chat
cloudevents   CLOUDEVENTS: messages as CloudEvents, one a frame or as a batch
table      the dialects by name: ``register`` adds one
"""

from reactor_web.dialects.base import (
    Answers,
    Batch,
    Configurable,
    Dialect,
    DialectInfo,
    DialectOption,
    End,
    Opening,
    Opens,
    Refuses,
    Shows,
)
from reactor_web.dialects.table import UnknownDialect, find, known, register

__all__ = [
    "Answers",
    "Batch",
    "Configurable",
    "Dialect",
    "DialectInfo",
    "DialectOption",
    "End",
    "Opening",
    "Opens",
    "Refuses",
    "Shows",
    "UnknownDialect",
    "find",
    "known",
    "register",
]
