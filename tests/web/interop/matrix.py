"""The clients, the routes, and what is special where they meet. The table of ``docs/interop.md`` is made of this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Law = Literal["named", "unnamed", "socket", "message", "agent"]
"""What is compared with the log: frames with the name of their event or without; messages of a socket; chunks and the
message that is made of them; what an agent's client made of it."""


@dataclass(frozen=True)
class Client:
    """One row."""

    name: str
    package: str
    law: Law
    set: str
    """What must be set."""
    returns: str
    """How it comes back after a cut."""
    end: str
    """How it knows that the run has ended."""


@dataclass(frozen=True)
class Route:
    """One column."""

    name: str
    title: str
    front: Literal["", "on", "off", "tls", "random"] = ""
    """What lies in front of the server: nothing, an nginx, the proxies that cut."""
    is_killed: bool = False
    """Whether the server is killed and begun again, instead of breaking off all connections once."""


CLIENTS = (
    Client(
        "EventSource", "Chromium, headless", "unnamed",
        "`names=0`, so that `onmessage` is given every event (or `addEventListener` for each type); `cors=[…]` of"
        " `mount` for a page of another origin. It sends no header: a ticket or a cookie says who asks",
        "by itself, with the last id. After any status but 200 it gives up: open a new one with `after=<last id>`",
        "`close()` at `stream.end`. Remember that `run.completed`, `run.failed` or `run.cancelled` came: a source that"
        " was closed after it (204) must not be opened again",
    ),
    Client(
        "eventsource", "npm `eventsource`", "unnamed",
        "as in a browser; headers by its option `fetch`",
        "as in a browser", "as in a browser",
    ),
    Client(
        "fetch-event-source", "npm `@microsoft/fetch-event-source`, in Chromium", "named",
        "`openWhenHidden: true`, or a hidden page is disconnected; `onopen` that throws unless the status is 200;"
        " `onclose` that throws, or it takes a clean end for the last one; a `fetch` that sends the id of the last"
        " event that `onmessage` got; `cors=[…]` of `mount`",
        "by itself when `onopen`, the network or `onclose` threw. The id that it would send may be that of an event of"
        " which only the `id` line came: hence the `fetch`",
        "abort its signal at `stream.end`, and in `onopen` at a 204",
    ),
    Client(
        "eventsource-parser", "npm `eventsource-parser` and a loop of `fetch`", "named",
        "`Accept: text/event-stream`; a `TextDecoder` with `stream: true`; a new parser for each response",
        "your loop: `Last-Event-ID` of the last event, a pause, again", "`stream.end`, or a 204",
    ),
    Client(
        "httpx-sse", "PyPI `httpx-sse`", "named",
        "a read timeout above the heartbeat (httpx: 5 s, the heartbeat: 15 s), or `heartbeat=2` in the URL",
        "your loop: catch `httpx.TransportError`, send `Last-Event-ID`", "`stream.end`, or a 204",
    ),
    Client(
        "sseclient-py", "PyPI `sseclient-py` on `requests`", "named",
        "`stream=True`; a read timeout above the heartbeat; `Accept: text/event-stream`. Speak HTTP/1.1 up to the"
        " client: the parser takes what a clean end has cut for an event, and only chunks show the cut",
        "your loop: catch `requests.RequestException`, send `Last-Event-ID`", "`stream.end`, or a 204",
    ),
    Client(
        "launchdarkly-eventsource", "PyPI `launchdarkly-eventsource`", "named",
        "`ErrorStrategy.always_continue()`, or the first error ends it; a `max_delay` of a few seconds; it does not"
        " read `retry`",
        "by itself, with the last id", "`stream.end`; as a `Fault` whose error has the status 204",
    ),
    Client(
        "curl", "`curl -N` in a loop of bash", "named",
        "`-N`; end an event at its blank line, and forget what stands behind the last one",
        "your loop: `-H \"Last-Event-ID: $last\"`", "`stream.end`, or a 204",
    ),
    Client(
        "WebSocket", "RFC 6455 with `aiohttp`, nothing of this project", "socket",
        "no limit of messages below 48 KiB; nginx needs `Upgrade` and `Connection`, as below",
        "your loop: `?after=<last seq>`", "close code 1000",
    ),
    Client(
        "ai 6: useChat", "npm `ai` 6, `DefaultChatTransport`", "message",
        "`add_chat`; the id of the run as the id of the chat, so that a run that has ended is found, too",
        "`resumeStream()` when `status` is `error`; take the half message away before: the stream begins anew",
        "`onFinish` with a `finishReason`",
    ),
    Client(
        "ai 7: useChat", "npm `ai` 7, `DefaultChatTransport`", "message", "as `ai` 6", "as `ai` 6", "as `ai` 6",
    ),
    Client(
        "ai 7: WorkflowChatTransport", "npm `@ai-sdk/workflow` on `ai` 7", "message",
        "`add_chat`; a large `maxConsecutiveErrors`: it counts all cuts until a stream ends well",
        "by itself, behind the chunks that it has. Where the server is down it gives up at once: begin the message"
        " anew; with a `startIndex` in the middle of a part it makes up a beginning for it",
        "the chunk `finish`",
    ),
    Client(
        "@ag-ui/client", "npm `@ag-ui/client`, `HttpAgent`", "agent",
        "`add_agent`; a `runId` of your own",
        "`runAgent` with the same `runId` and no new message: it joins, nothing starts twice",
        "`RUN_FINISHED` or `RUN_ERROR`; `stream_closing` is no end",
    ),
)  # fmt: skip

ROUTES = (
    Route("direct", "direct"),
    Route("random", "cut at random bytes", front="random"),
    Route("on", "nginx, buffering on", front="on"),
    Route("off", "nginx, buffering off", front="off"),
    Route("tls", "nginx, TLS and HTTP/2", front="tls"),
    Route("restart", "`kill -9`, restart", is_killed=True),
    Route("restart-on", "`kill -9`, restart, behind nginx", front="on", is_killed=True),
)

TOGETHER = (("direct",), ("random",), ("on",), ("off",), ("tls",), ("restart", "restart-on"))
"""Routes whose clients run at the same time: one kill is enough for two."""

NOTES = {
    ("EventSource", "restart-on"): "nginx answers 502, and an EventSource gives up: the page opens a new one behind"
    " the last id",
    ("eventsource", "restart-on"): "as in the browser",
    ("fetch-event-source", "restart-on"): "a 502 is an error that `onopen` throws: it comes back by itself",
    ("EventSource", "tls"): "Chromium is told to take the certificate of the test",
    ("fetch-event-source", "tls"): "likewise; the preflight of a page of another origin passes nginx, too",
    ("WebSocket", "tls"): "over HTTP/1.1: nginx does not pass WebSockets on from HTTP/2, and no client asks for it",
    ("fetch-event-source", "random"): "with the library's own `last-event-id` an event was lost here, where a frame"
    " was cut behind its `id` line",
    ("ai 7: WorkflowChatTransport", "restart"): "a refused connection ends it, and the page begins the message anew",
    ("ai 7: WorkflowChatTransport", "restart-on"): "so does a 502",
    ("@ag-ui/client", "random"): "it has no cursor: its messages and its state are compared, not its frames",
}
"""By client and route, what a reader would wonder about. No cell is left out."""


def client(name: str) -> Client:
    return next(client for client in CLIENTS if client.name == name)


def route(name: str) -> Route:
    return next(route for route in ROUTES if route.name == name)
