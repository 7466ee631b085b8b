"""Serves runs over HTTP: routes, server-sent events, the command line. Imports ``reactor``; never the other way.

The rooms from the ground up; each imports only from rooms above it in this list:

    bounds        every limit of serving
    sse/          server-sent events as bytes: frames out, a parser in
    dialects/     a message of a run -> the bytes of a frame
    http/         what all handlers share: query, body, problems, result
    client/       follow_url: the Python client (needs only sse)
    guard/        who may ask
    streaming/    one run to many clients: compose, share, follow, hand over
    routes/       one resource a file
    app           create_app, mount
    terminal/     the command ``reactor``
    testing/      the laws of dialects, for tests of your own
"""

from reactor_web.app import create_app, mount
from reactor_web.http.problems import problems
from reactor_web.streaming.stream import stream

__all__ = ["create_app", "mount", "problems", "stream"]
