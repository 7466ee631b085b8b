"""Serves runs over HTTP: routes, server-sent events, the command line. Imports ``reactor``; never the other way.

app        create_app, mount: lifecycle
routes/    one resource a file            problems, body, query, result: what they share
stream     one request's stream           streams: all that are open; snapshot: the state as frames
follower   a client from its cursor on    channel: pipelines that clients share; direct, wire: how bytes reach one
handover   a stream without its handler
sse        bytes in, bytes out
client     following a URL                terminal, cli: the command ``reactor``
"""

from reactor_web.app import create_app, mount
from reactor_web.streaming.stream import stream

__all__ = ["create_app", "mount", "stream"]
