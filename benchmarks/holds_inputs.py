"""The worst requests of at most the allowed size, for each route: what ``holds`` sends."""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from benchmarks.holds_asked import ASKED
from benchmarks.holds_values import BODY, values
from reactor_web.bounds import SOCKET_MESSAGE_BYTES

API: Final = "/api/v1"
LINE: Final = 7_900
"""Characters of a URL, and of a header: aiohttp takes 8,190."""
JSON: Final = {"Content-Type": "application/json"}
STREAM: Final = {"Accept": "text/event-stream"}
PAGE: Final = {"Accept": "application/json"}
UPGRADE: Final = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@dataclass(frozen=True)
class Attack:
    """One request. ``{n}`` in its path is another number each time."""

    route: str
    """As in the description of the routes: ``GET /runs/{id}``."""
    name: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    more: tuple[tuple[str, str], ...] = ()
    """Headers that come twice, or many times."""
    messages: tuple[bytes, ...] = ()
    """Of a WebSocket."""

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]


# --- parts ---


def _around(value: bytes, begin: str, end: str = "}") -> bytes:
    return begin.encode() + value + end.encode()


def _words(letters: str, count: int, separator: str = ",") -> str:
    """Text of at most ``LINE`` characters."""
    return separator.join([letters] * count)[:LINE]


def _compressed() -> Iterator[tuple[str, dict[str, str], bytes]]:
    zeros = b'{"input":"' + b"0" * (1 << 20)
    bomb = b"0" * (1 << 28)
    yield "compressed body", {"Content-Encoding": "gzip"}, gzip.compress(zeros[:BODY] + b'"}')
    yield "bomb of gzip", {"Content-Encoding": "gzip"}, gzip.compress(bomb, 9)
    yield "bomb of deflate", {"Content-Encoding": "deflate"}, zlib.compress(bomb, 9)


HEAVIEST: Final = ("most floats", "most small objects", "most lists in lists", "most keys", "one string")
"""What a member of a body is sent; a whole body is sent every kind."""


def _of_member(made: dict[str, bytes], begin: str) -> list[tuple[str, bytes]]:
    return [(name, value) for name, value in made.items() if not begin or name in HEAVIEST]


# --- by route ---------------------------------------------------------------------------------------------------

_PARAMETERS: Final = "&".join(f"p{n}=" for n in range(1_200))[:LINE]
QUERIES: Final[dict[str, str]] = {
    "many parameters": _PARAMETERS,
    "one parameter many times": "&".join(["types=a"] * 980)[:LINE],
    "near misses": "&".join(f"typ{n}=1" for n in range(700))[:LINE],
    "a long name": "a" * LINE + "=1",
    "types of stars": "types=" + _words("*a" * 40, 90),
    "types that are nearly ours": "types=" + _words("task.completef", 500),
    "tasks of stars": "tasks=" + _words("*a*b" * 20 + "*", 64),
    "tasks of questions": "tasks=" + _words("?" * 250, 30),
    "escaped": "types=" + "%C3%A9" * (LINE // 7),
    "a cursor": "after=" + "9" * LINE,
    "a part": "after=1." + "9" * LINE,
    "a throttle": "throttle=" + "9" * LINE,
    "members of meta": "&".join(f"meta.k{n}={n}" for n in range(500))[:LINE],
    "runs": "runs=" + _words("a", LINE // 2),
}
HEADERS: Final[dict[str, dict[str, str]]] = {
    "Accept of many": {"Accept": _words("a/b", 2_000)},
    "Accept of many weights": {"Accept": _words("text/*;q=0.5;q=0.4;q=1", 400)},
    "Accept of semicolons": {"Accept": "text/html" + ";" * LINE},
    "cookies": {"Cookie": "; ".join(f"c{n}={n}" for n in range(900))[:LINE]},
    "one bad cookie": {"Cookie": "a=" + '"' + "\\" * LINE},
    "Authorization": {"Authorization": "Bearer " + "a" * LINE},
    "a token": {"Authorization": f"Bearer {'a' * 2_000}.{'b' * 3_000}.{'c' * 2_000}"},
    "a deep token": {
        "Authorization": "Bearer "
        + base64.urlsafe_b64encode(b'{"alg":' + b"[" * 2_000 + b"]" * 2_000 + b"}").rstrip(b"=").decode()
        + ".e30.e30"
    },
    "Host": {"Host": "a." * 3_900},
    "Host of punycode": {"Host": "xn--" + "a" * LINE},
    "Origin": {"Origin": "https://" + "a." * 3_900},
    "Forwarded": {"Forwarded": _words('for="[2001:db8::1]:80";proto=https', 200)},
    "X-Forwarded-For": {"X-Forwarded-For": _words("1.1.1.1", 900)},
    "Last-Event-ID": {"Last-Event-ID": "9" * LINE},
    "Prefer": {"Prefer": _words("wait=x" + ";" * 50, 140)},
    "traceparent": {"traceparent": "0" * LINE},
    "a tracestate": {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "tracestate": _words("a=b", 1_900)},
}
_ENDS: Final = {
    "GET /runs/{id}/tasks/{task}/output": "/output",
    "GET /runs/{id}/events": "/events",
    "GET own state": "/state",
    "GET own chat": "/stream",
}


def attacks() -> list[Attack]:
    """All of them."""
    return [
        *_of_queries(),
        *_of_headers(),
        *_of_bodies(),
        *_of_answers(),
        *_of_questions(),
        *_of_plans(),
        *_of_sockets(),
        *_of_own(),
    ]


def _of_queries() -> Iterator[Attack]:
    for name, query in QUERIES.items():
        for form, accept in (("stream", STREAM), ("page", PAGE)):
            yield Attack(
                "GET /runs/{id}/events", f"{form}: {name}", f"{API}/runs/asking/events?{query}", headers=accept
            )
            yield Attack("GET /events", f"{form}: {name}", f"{API}/events?{query}", headers=accept)
        yield Attack("GET /runs", name, f"{API}/runs?{query}")
        yield Attack("GET /runs/{id}/ws", name, f"{API}/runs/asking/ws?{query}", headers=UPGRADE)
        yield Attack("GET own stream", name, f"/own/asking/stream?{query}")
        yield Attack("GET own started", name, f"/own/asking/started?{query}")
    for route, path in (
        ("GET /runs/{id}", f"{API}/runs/"),
        ("GET /workflows/{name}", f"{API}/workflows/"),
        ("GET /client/{file}", f"{API}/client/"),
        ("GET /problems/{code}", f"{API}/problems/"),
        ("GET /runs/{id}/tasks/{task}/output", f"{API}/runs/asking/tasks/"),
        ("GET /runs/{id}/events", f"{API}/runs/"),
        ("DELETE /runs/{id}", f"{API}/runs/"),
        ("GET own state", "/own/"),
        ("GET own chat", "/own/chat/"),
    ):
        end = _ENDS.get(route, "")
        for name, text in (("long", "a" * LINE), ("escaped", "%C3%A9" * 1_300), ("slashes", "%2F" * 2_600)):
            yield Attack(route, f"{name} name", path + text[: LINE - 20] + end)
    yield Attack(
        "GET /runs/{id}/tasks/{task}/output", "an unknown task", f"{API}/runs/wide/tasks/each[99999999]/output"
    )


def _of_headers() -> Iterator[Attack]:
    for name, headers in HEADERS.items():
        yield Attack("GET /runs/{id}", name, f"{API}/runs/waiting", headers=headers)
        yield Attack("GET /runs/{id}/events", name, f"{API}/runs/waiting/events", headers={**PAGE, **headers})
        yield Attack("POST /runs/{id}/pause", name, f"{API}/runs/small-none/pause", b"{}", {**JSON, **headers})
    yield Attack(
        "GET /runs/{id}", "100 headers", f"{API}/runs/waiting", more=tuple((f"X-{n}", "a" * 250) for n in range(100))
    )
    yield Attack("GET /runs/{id}", "many of one header", f"{API}/runs/waiting", more=(("Accept", "a/b"),) * 100)
    keys = {"a long key": "k" * LINE, "a key of 200": "k" * 200}
    for name, key in keys.items():
        yield Attack(
            "POST /workflows/{name}/runs",
            f"Idempotency-Key: {name}",
            f"{API}/workflows/inputs/runs",
            _around(values()["most zeros"], '{"input":{"anything":', "}}"),
            {**JSON, "Idempotency-Key": key},
        )


BODIES: Final[dict[str, tuple[str, tuple[tuple[str, str], ...]]]] = {
    "POST /workflows/{name}/runs": (
        "/workflows/inputs/runs",
        (
            ("", ""),
            ('{"input":', "}"),
            ('{"input":{"anything":', "}}"),
            ('{"meta":', "}"),
            ('{"budget":', "}"),
            ('{"run_id":', "}"),
            *(
                (f'{{"input":{{"{name}":', "}}")
                for name in ("pattern", "order", "branch", "numbers", "names", "unique", "floats", "either")
            ),
        ),
    ),
    "PUT /runs/{id}": (
        "/runs/put-{n}",
        (
            ("", ""),
            ('{"workflow":', "}"),
            ('{"workflow":"inputs","input":{"anything":', "}}"),
            ('{"workflow":"inputs","meta":', "}"),
            ('{"session":true,"meta":', "}"),
            ('{"session":true,"idle":', "}"),
        ),
    ),
    "POST /runs": (
        "/runs",
        (
            ("", ""),
            ('{"tasks":', "}"),
            ('{"tasks":[{"id":"a","tool":"holds.echo","input":{"value":', "}}]}"),
            ('{"tasks":[{"id":"a","tool":"holds.echo","input":', "}]}"),
            ('{"tasks":[{"id":"a","tool":"holds.echo","depends_on":', "}]}"),
            ('{"tasks":[{"id":"a","tool":"holds.echo"}],"meta":', "}"),
            ('{"tasks":[{"id":"a","tool":', "}]}"),
        ),
    ),
    "POST /runs/{id}/cancel": ("/runs/asking/cancel", (("", ""), ('{"reason":', "}"), ('{"task":', "}"))),
    "POST /runs/{id}/pause": ("/runs/session/pause", (("", ""), ('{"reason":', "}"))),
    "POST /runs/{id}/resume": ("/runs/session/resume", (("", ""), ('{"reason":', "}"))),
    "POST /runs/{id}/input": (
        "/runs/asking/input",
        (
            ("", ""),
            ('{"task":"anything","value":', "}"),
            ('{"task":"numbers","value":', "}"),
            ('{"value":1,"task":', "}"),
            ('{"task":"anything","value":1,"key":', "}"),
            ('{"task":"anything","value":1,"run":', "}"),
        ),
    ),
    "POST /runs/{id}/retry": ("/runs/wide-ended/retry", (("", ""), ('{"run_id":', "}"))),
    "POST /runs/{id}/events": (
        "/runs/session/events",
        (
            ("", ""),
            ('{"type":"said","data":', "}"),
            ('{"type":"said","data":{"a":', "}}"),
            ('{"type":', "}"),
            ('{"type":"said","task":', "}"),
            ('[{"type":"said","data":', "}]"),
        ),
    ),
    "POST /runs/{id}/close": (
        "/runs/waiting/close",
        (("", ""), ('{"outputs":', "}"), ('{"error":', "}"), ('{"status":', "}")),
    ),
    "POST /stream-tickets": (
        "/stream-tickets",
        (("", ""), ('{"run_id":', "}"), ('{"filter":', "}"), ('{"filter":{"runs":', "}}")),
    ),
}
"""Route -> its path, and what stands around a value in its body."""


def _of_bodies() -> Iterator[Attack]:
    made = values()
    for route, (path, arounds) in BODIES.items():
        for begin, end in arounds:
            for name, value in _of_member(made, begin):
                where = begin.split(":")[-2].split('"')[-2] if begin else "the body"
                yield Attack(route, f"{where}: {name}", API + path, _around(value, begin, end), JSON)
    for name, headers, body in _compressed():
        yield Attack("POST /workflows/{name}/runs", name, f"{API}/workflows/inputs/runs", body, {**JSON, **headers})
        yield Attack("POST /runs/{id}/events", name, f"{API}/runs/session/events", body, {**JSON, **headers})
    part = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n0\r\n'
    multipart = {"Content-Type": "multipart/form-data; boundary=b"}
    yield Attack("POST /runs", "multipart", f"{API}/runs", part * (BODY // len(part)), multipart)
    events = {
        "1,000 events": orjson.dumps([{"type": "said", "data": {"text": "x" * 900}}] * 1_000),
        "30,000 events": orjson.dumps([{"type": "s"}] * 30_000),
        "1,000 kinds of events": orjson.dumps([{"type": f"said.t{n}", "data": {"k": [n] * 300}} for n in range(700)]),
        "types that are nearly ours": orjson.dumps([{"type": "task.completef"}] * 1_000),
        "1,000 tasks": orjson.dumps([{"type": "said", "task": f"task_{n}"} for n in range(1_000)]),
        "unknown members": orjson.dumps([{"type": "said", f"k{n}": 1} for n in range(1_000)]),
    }
    for name, body in events.items():
        yield Attack("POST /runs/{id}/events", name, f"{API}/runs/session/events", body, JSON)
    yield Attack(
        "POST /runs/{id}/events",
        "an unknown task of 50,000",
        f"{API}/runs/wide/events",
        orjson.dumps([{"type": "said", "task": f"eachh[{n}]"} for n in range(1_000)]),
        JSON,
    )
    for name, asked in ASKED.items():
        yield Attack(
            "POST /workflows/{name}/runs",
            f"input: answer to {name}",
            f"{API}/workflows/inputs/runs",
            orjson.dumps({"input": {"order": asked.value, "branch": asked.value, "numbers": asked.value}}),
            JSON,
        )


def _of_questions() -> Iterator[Attack]:
    for name, asked in ASKED.items():
        body = orjson.dumps({"task": name, "value": asked.value})
        yield Attack("POST /runs/{id}/input", f"schema: {name}", f"{API}/runs/asking/input", body, JSON)
        yield Attack("POST own chat input", f"schema: {name}", "/own/chat/asking/input", body, JSON)


def _of_answers() -> Iterator[Attack]:
    for run in ("wide", "wide-ended", "graph-ended", "curious", "family", "big-ended", "loud"):
        yield Attack("GET /runs/{id}", f"of {run}", f"{API}/runs/{run}")
        for dialect in ("agents",):
            yield Attack("GET /runs/{id}", f"of {run} as {dialect}", f"{API}/runs/{run}?dialect={dialect}")
        yield Attack("GET own state", f"of {run}", f"/own/{run}/state")
        yield Attack("GET /runs/{id}/events", f"page of {run}", f"{API}/runs/{run}/events?limit=10000", headers=PAGE)
        yield Attack("GET /runs/{id}/events", f"tail of {run}", f"{API}/runs/{run}/events?tail=10000", headers=PAGE)
        for query in (
            "snapshot=1",
            "snapshot=1&logs=10000",
            "tail=10000&logs=10000",
            "children=1",
            "after=1&types=none.*",
        ):
            yield Attack(
                "GET /runs/{id}/events", f"{query} of {run}", f"{API}/runs/{run}/events?{query}", headers=STREAM
            )
        yield Attack("GET own stream", f"of {run}", f"/own/{run}/stream")
        for dialect in ("execution", "agents", "steps", "domain", "timeline", "ag-ui", "ai-sdk", "cloudevents"):
            yield Attack(
                "GET /runs/{id}/events",
                f"{dialect} of {run}",
                f"{API}/runs/{run}/events?dialect={dialect}",
                headers=STREAM,
            )
    for task in ("numbers_of", "each", "last"):
        yield Attack(
            "GET /runs/{id}/tasks/{task}/output", f"{task} of 50,000", f"{API}/runs/wide-ended/tasks/{task}/output"
        )
    yield Attack("GET /runs/{id}/tasks/{task}/output", "of 8 MB", f"{API}/runs/big-ended/tasks/make/output")
    yield Attack("GET /runs", "a page of 1,000", f"{API}/runs?limit=1000")
    yield Attack("GET /runs", "1,000 children", f"{API}/runs?limit=1000&parent=family")
    yield Attack("GET /runs", "a tree of 1,000", f"{API}/runs?limit=1000&root=family")
    yield Attack("GET /events", "a page", f"{API}/events?limit=10000", headers=PAGE)
    yield Attack("GET /events", "a page that nothing passes", f"{API}/events?limit=10000&types=none.*", headers=PAGE)
    yield Attack("GET /events", "a stream", f"{API}/events", headers=STREAM)
    yield Attack("GET /events", "a stream of one workflow", f"{API}/events?workflow=none", headers=STREAM)
    for path in ("/workflows", "/tools", "/openapi.json", "/docs", "/healthz", "/readyz", "/problems"):
        yield Attack(f"GET {path}", "all", API + path)
    yield Attack("GET /workflows/{name}", "of 50,000 tasks", f"{API}/workflows/graph")
    yield Attack("GET /client/{file}", "a module", f"{API}/client/reactor.js")
    yield Attack("GET /problems/{code}", "a page", f"{API}/problems/key-expired", headers={"Accept": "text/html"})
    yield Attack("POST /runs/{id}/retry", "of 50,000 tasks", f"{API}/runs/wide-ended/retry", b"{}", JSON)
    yield Attack("DELETE /runs/{id}", "that is open", f"{API}/runs/wide")
    yield Attack(
        "POST /runs/{id}/input", "unknown task of 50,000", f"{API}/runs/wide/input", b'{"task":"eachh","value":1}', JSON
    )
    yield Attack("POST /workflows/{name}/runs", "a graph of 50,000", f"{API}/workflows/graph/runs", b"{}", JSON)


def _of_plans() -> Iterator[Attack]:
    def plan(tasks: Any, **more: Any) -> bytes:
        return orjson.dumps({"tasks": tasks, **more})

    def task(number: int, **more: Any) -> dict[str, Any]:
        return {"id": f"task_{number}", "tool": "holds.echo", **more}

    before = [f"task_{n}" for n in range(1_000)]
    plans = {
        "1,000 tasks": plan([task(n) for n in range(1_000)]),
        "1,000 tasks in a chain": plan([task(n, depends_on=before[n - 1 : n]) for n in range(1_000)]),
        "1,000 tasks, many edges": plan([task(n, depends_on=before[max(0, n - 70) : n]) for n in range(1_000)]),
        "a circle": plan([task(n, depends_on=[before[n - 1]]) for n in range(1_000)]),
        "unknown upstreams": plan([task(n, depends_on=[f"tusk_{k}" for k in range(70)]) for n in range(1_000)]),
        "unknown tools": plan([{"id": f"t{n}", "tool": f"holds.ecjo{n}"} for n in range(1_000)]),
        "unknown inputs": plan([task(n, input={f"valie{k}": 1 for k in range(60)}) for n in range(1_000)]),
        "unknown members": plan([task(n, **{f"k{k}": 1 for k in range(60)}) for n in range(1_000)]),
        "many unknown members": plan([task(0)], **{f"task{k}": 1 for k in range(70_000)}),
        "references": plan([task(0), *(task(n, input={"value": ["$task_0.a.b"] * 60}) for n in range(1, 1_000))]),
        "bad references": plan([task(n, input={"value": ["$task_x" + ".a" * 20] * 15}) for n in range(1_000)]),
        "long references": plan([task(0), task(1, input={"value": "$task_0" + ".a" * 500_000})]),
        "wrong types": plan([task(n, input={"names": [0] * 250}) for n in range(1_000)]),
        "dollars": plan([task(0, input={"value": "$" * 1_000_000})]),
        "ids twice": plan([task(0)] * 20_000),
        "deep": b'{"tasks":[{"id":"a","tool":"holds.echo","input":{"value":'
        + values()["most lists in lists"]
        + b"}}]}",
        "metas": plan([task(n, meta={f"k{k}": k for k in range(60)}) for n in range(1_000)]),
    }
    for name, body in plans.items():
        yield Attack("POST /runs", f"plan: {name}", f"{API}/runs", body, JSON)


def _of_sockets() -> Iterator[Attack]:
    size = SOCKET_MESSAGE_BYTES - 100
    path = f"{API}/runs/asking/ws"
    for name, value in _of_member(values(size), "{"):
        for command in (
            '{"id":1,"command":"input","task":"anything","value":%s}',
            '{"id":1,"command":%s}',
            '{"id":%s}',
        ):
            body = command.replace("%s", value.decode()).encode()
            where = {"input": "value", "%s": "command"}.get(
                command.split('"')[5] if command.count('"') > 4 else "", "id"
            )
            yield Attack("GET /runs/{id}/ws", f"message: {where}: {name}", path, headers=UPGRADE, messages=(body,))
    for name, asked in ASKED.items():
        body = orjson.dumps({"id": 1, "command": "input", "task": name, "value": asked.value})
        yield Attack("GET /runs/{id}/ws", f"schema: {name}", path, headers=UPGRADE, messages=(body,))
    emit = orjson.dumps({"id": 1, "command": "emit", "type": "said", "data": {"text": "x" * 40_000}})
    yield Attack(
        "GET /runs/{id}/ws", "20 messages at once", f"{API}/runs/session/ws", headers=UPGRADE, messages=(emit,) * 20
    )
    small = tuple(b'{"id":%d,"command":"emot"}' % n for n in range(5_000))
    yield Attack("GET /runs/{id}/ws", "5,000 messages at once", path, headers=UPGRADE, messages=small)


def _of_own() -> Iterator[Attack]:
    made = values(BODY - 200)
    message = '{"id":"m1","role":"user","parts":[{"type":"text","text":"x"}],"content":%s}'
    agent = '{"threadId":"t-{n}","runId":"r1","messages":[],"%s":'
    shapes: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
        "POST own start": ("/own/start", (("", ""), ('{"anything":', "}"), ('{"numbers":', "}"))),
        "POST own created": ("/own/created", (("", ""), ('{"anything":', "}"), ('{"numbers":', "}"))),
        "POST own chat": (
            "/own/chat",
            (
                ("", ""),
                ('{"id":"chat-{n}","trigger":"submit-message","messages":', "}"),
                ('{"id":"chat-{n}","trigger":"submit-message","messages":[' + message.partition("%s")[0], "}]}"),
                ('{"messages":[],"id":', "}"),
            ),
        ),
        "POST own chat input": ("/own/chat/waiting/input", (("", ""), ('{"task":"wait","key":"none","value":', "}"))),
        "POST own chat stop": (
            "/own/chat/none/stop",
            (("", ""), ('{"activeStreamId":', "}"), ('{"assistantMessage":', "}")),
        ),
        "POST own agent": (
            "/own/agent",
            (
                ("", ""),
                *(((agent % name), "}") for name in ("state", "tools", "context", "forwardedProps", "resume")),
                ('{"threadId":"t","runId":"r","messages":', "}"),
                ('{"runId":"r","messages":[],"threadId":', "}"),
            ),
        ),
    }
    for route, (path, arounds) in shapes.items():
        for begin, end in arounds:
            for name, value in _of_member(made, begin):
                where = begin.split(":")[-2].split('"')[-2] if begin else "the body"
                yield Attack(route, f"{where}: {name}", path, _around(value, begin, end), JSON)
    resumes = orjson.dumps([{"interruptId": f"i{n}", "status": "resolved", "payload": {}} for n in range(1_000)])
    body = (agent % "resume").encode() + resumes + b"}"
    yield Attack("POST own agent", "1,000 answers", "/own/agent", body, JSON)
