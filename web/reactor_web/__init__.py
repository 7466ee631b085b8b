"""Serves runs over HTTP: routes, server-sent events, the command line. Imports ``reactor``; never the other way.

The rooms, from the top down; each imports only from rooms below it in this list:

    testing/      the laws that a dialect of your own must keep
    terminal/     the command ``reactor``
    app           create_app, mount
    dashboard/    pages that show the runs
    own/          routes of one's own: add_stream, add_start, add_state, add_chat, add_agent
    hosting       what an application gets that serves an engine
    routes/       one resource a file
    metrics/      /metrics, and ReactorCollector for a registry of one's own
    openapi/      the description of the routes
    streaming/    one run to many clients: compose, share, follow, hand over
    guard/        who may ask
    client/       Client, RemoteRun, SyncClient, follow_url: the Python client (needs only sse)
    dialects/     a message of a run -> the bytes of a frame
    http/         what all handlers share: query, body, problems, result
    sse/          server-sent events as bytes: frames out, a parser in
    bounds        the limits of serving
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reactor_web.app import create_app, mount
    from reactor_web.client import Client, RemoteRun, SyncClient
    from reactor_web.guard.admission import principal_of
    from reactor_web.guard.caps import Caps
    from reactor_web.guard.guard import Guard
    from reactor_web.guard.principal import Principal, Scope
    from reactor_web.guard.tokens import JwtSettings
    from reactor_web.hosting import protect
    from reactor_web.http.agent_input import AgentInput
    from reactor_web.http.middleware import only_looks
    from reactor_web.http.problems import Problem, problems
    from reactor_web.metrics.collector import ReactorCollector
    from reactor_web.own import Start, add_agent, add_chat, add_start, add_state, add_stream
    from reactor_web.streaming.stream import stream

__all__ = [
    "AgentInput",
    "Caps",
    "Client",
    "Guard",
    "JwtSettings",
    "Principal",
    "Problem",
    "ReactorCollector",
    "RemoteRun",
    "Scope",
    "Start",
    "SyncClient",
    "add_agent",
    "add_chat",
    "add_start",
    "add_state",
    "add_stream",
    "create_app",
    "mount",
    "only_looks",
    "principal_of",
    "problems",
    "protect",
    "stream",
]

_HOMES = {
    "AgentInput": "http.agent_input",
    "Caps": "guard.caps",
    "Client": "client.client",
    "Guard": "guard.guard",
    "JwtSettings": "guard.tokens",
    "Principal": "guard.principal",
    "Problem": "http.problems",
    "ReactorCollector": "metrics.collector",
    "RemoteRun": "client.run",
    "Scope": "guard.principal",
    "Start": "own",
    "SyncClient": "client.sync",
    "add_agent": "own",
    "add_chat": "own",
    "add_start": "own",
    "add_state": "own",
    "add_stream": "own",
    "create_app": "app",
    "mount": "app",
    "only_looks": "http.middleware",
    "principal_of": "guard.admission",
    "problems": "http.problems",
    "protect": "hosting",
    "stream": "streaming.stream",
}
"""Name -> the module it is in. It is imported when it is asked for: a client needs nothing of a server."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
