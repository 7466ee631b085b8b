"""How a message of a run becomes bytes of a stream: the one place that makes frames. Pure: no aiohttp, no loop.

base       Dialect: what the streams need of any dialect
native     NATIVE: events and notices as they are in the log
table      the dialects by name: ``register`` adds one
framing    what a stream does to frames whatever their dialect
"""

from reactor_web.dialects.base import Dialect, DialectInfo, End, Opening
from reactor_web.dialects.table import UnknownDialect, find, known, register

__all__ = ["Dialect", "DialectInfo", "End", "Opening", "UnknownDialect", "find", "known", "register"]
