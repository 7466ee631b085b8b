"""Serves runs over HTTP: routes, server-sent events, the command line. Imports ``reactor``; never the other way.

app        create_app, mount: lifecycle
routes/    one resource a file            problems, body, query, result: what they share
stream     one request's stream           channel: pipelines that streams share; streams: all that are open
sse        bytes in, bytes out            snapshot: the state as frames
client     following a URL                terminal, cli: the command ``reactor``
"""

from web.app import create_app, mount
from web.stream import stream

__all__ = ["create_app", "mount", "stream"]
