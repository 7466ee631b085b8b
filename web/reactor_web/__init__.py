"""Serves runs over HTTP: routes, server-sent events, the command line. Imports ``reactor``; never the other way.

The rooms, from the top down; each imports only from rooms below it in this list:

    testing/      the laws that a dialect of your own must keep
    terminal/     the command ``reactor``
    app           create_app, mount
    own/          routes of one's own: add_stream, add_start, add_state, add_chat, add_agent
    hosting       what an application gets that serves an engine
    routes/       one resource a file
    openapi/      the description of the routes
    streaming/    one run to many clients: compose, share, follow, hand over
    guard/        who may ask
    client/       follow_url: the Python client (needs only sse)
    dialects/     a message of a run -> the bytes of a frame
    http/         what all handlers share: query, body, problems, result
    sse/          server-sent events as bytes: frames out, a parser in
    bounds        the limits of serving
"""

from reactor_web.app import create_app, mount
from reactor_web.http.agent_input import AgentInput
from reactor_web.http.middleware import only_looks
from reactor_web.http.problems import Problem, problems
from reactor_web.own import Start, add_agent, add_chat, add_start, add_state, add_stream
from reactor_web.streaming.stream import stream

__all__ = [
    "AgentInput",
    "Problem",
    "Start",
    "add_agent",
    "add_chat",
    "add_start",
    "add_state",
    "add_stream",
    "create_app",
    "mount",
    "only_looks",
    "problems",
    "stream",
]
