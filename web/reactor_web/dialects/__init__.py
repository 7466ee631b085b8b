"""How a message of a run becomes bytes of a stream: the one place that makes frames. Pure: no aiohttp, no loop.

base      Dialect: what the streams need of any dialect
native    NATIVE: events and notices as they are in the log
"""
