"""How a message of a run becomes bytes of a stream: the one place that makes frames. Pure: no aiohttp, no loop.

base       Dialect: what the streams need of any dialect, and what some have besides
framing    what is done to frames whatever their dialect
reading    what dialects that fold read from events
outputs    what came of a run, for dialects that answer a client that waits for the end
native     NATIVE: events and notices as they are in the log
ndjson     NDJSON: the same as lines of JSON, chosen by media type
execution  EXECUTION: tasks of a plan that begin and end, or all results at once
agents     AGENTS: a workflow of agents, as a dashboard shows it
steps      STEPS: unnamed updates of one shape for progress bars
domain     DOMAIN: flat messages as of an event broker
timeline   TIMELINE: entries for a person beside a chat
ag_ui/     AG_UI: a run as AG-UI 1.0
ai_sdk/    AI_SDK: the UI message stream of the Vercel AI SDK
cloudevents   CLOUDEVENTS: messages as CloudEvents, one a frame or as a batch
unnamed    any of them without the names of its frames
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
    Prepares,
    Refuses,
    Shows,
    Waits,
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
    "Prepares",
    "Refuses",
    "Shows",
    "UnknownDialect",
    "Waits",
    "find",
    "find_named",
    "known",
    "register",
]
