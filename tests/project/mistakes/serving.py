"""Applications, requests and commands that are wrong."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from reactor import Workflow
from tests.project.mistakes.kinds import run_command, run_python, run_request
from tests.project.mistakes.section import Section

SETUP = """\
from aiohttp import web

from reactor import *
from reactor_web import *

flow = Workflow("census")
flow.task(lambda: 1, name="fetch")
engine = Engine()
app = web.Application()
"""


def run_app(row: str, folder: Path) -> str:
    return run_python(SETUP, row, folder)


APP = (
    "mount(app, 'memory://')",
    "create_app('memory://')",
    "create_app(flow)",
    "mount(engine, [flow])",
    "mount(flow, engine)",
    "mount(app, engine, 'census')",
    "mount(app, engine, [5])",
    "mount(app, engine, prefix='api')",
    "mount(app, engine, prefix='/api/')",
    "mount(app, engine, prefix='')",
    "mount(app, engine, prefix=5)",
    "mount(app, engine, allowed_hosts='example.com')",
    "mount(app, engine)\nmount(app, engine)",
    "create_app(engine, [flow], host='0.0.0.0')",
)

OWN = (
    "add_stream(engine, '/runs/{id}', app)",
    "add_stream(app, '/runs/{id}', 'memory://')",
    "add_stream(app, '/runs/{id}', engine, dialect='timelin')",
    "add_stream(app, '/runs/{id}', engine, heartbeats=5)",
    "add_stream(app, '/runs/{id}', engine, dialect='agents', tail=5)",
    "add_stream(app, '/runs/{id}', engine, dialect='steps', logs='yes')",
    "add_stream(app, '/runs/{id}', engine, id_from=5)",
    "add_stream(app, '/runs/{id}', engine, match=['agent'])",
    "add_start(app, '/runs', engine, flow)",
    "add_start(app, '/runs', engine, lambda request, body: Start(flow), answer='json')",
    "add_state(app, '/runs/{id}', engine, dialect='steps')",
    "add_agent(app, '/writer', engine, 5)",
    "add_chat(app, '/chat', engine, flow)",
    "add_chat(app, '/chat/', engine, lambda request, body: Start(flow))",
)

DIALECTS = """\
from reactor_web import dialects
from reactor_web.dialects.cloudevents import CloudEvents
"""


def run_dialect(row: str, folder: Path) -> str:
    return run_python(DIALECTS, row, folder)


REGISTERED = (
    "dialects.register(CloudEvents(name='steps'))",
    "dialects.register(CloudEvents(name='My Events'))",
    "dialects.find('my-events')",
)

HANDLER = """
import logging
logging.getLogger("aiohttp.server").disabled = True
from aiohttp.test_utils import TestClient, TestServer
said = []
async def answer(request):
    run = await engine.get("r1")
    try:
        return await handler(request, run)
    except Exception as error:
        said.append(error)
        raise
async with engine:
    await (await engine.start(flow, run_id="r1"))
    app.router.add_get("/x", answer)
    mount(app, engine, [flow])
    async with TestClient(TestServer(app)) as client:
        async with client.get("/x") as response:
            await response.read()
if said:
    raise said[0]
"""


def run_handler(row: str, folder: Path) -> str:
    lines = "\n".join(f"    {line}" for line in row.splitlines())
    return run_python(SETUP, f"async def handler(request, run):\n{lines}", folder, HANDLER)


STREAM = (
    "return await stream(request, 'r1')",
    "return await stream(request, flow)",
    "return await stream(run, request)",
    "return await stream(request, run, type='task.*')",
    "return await stream(request, run, types='task.complted')",
    "return await stream(request, run, types=5)",
    "return await stream(request, run, throttle='200')",
    "return await stream(request, run, heartbeat=-1)",
    "return await stream(request, run, tail=-1)",
    "return await stream(request, run, after='x')",
    "return await stream(request, run, dialect='nativ')",
    "return await stream(request, run, dialect='ag-ui', types='task.*')",
    "return await stream(request, run, on_disconnect='stop')",
    "return await stream(request, run, snapshot='yes')",
    "return await stream(request, run, view=5)",
    "return await stream(request, run, view='task.*')",
    "return await stream(request, run.events, types='task.*')",
)

FLOW = Workflow("census")


@FLOW.task
async def fetch(root: str) -> list[str]:
    return [root]


REQUESTS = (
    "GET /runs/r2",
    "GET /run/r1",
    "GET /runs/r1/events?after=x",
    "GET /runs/r1/events?after=-1",
    "GET /runs/r1/events\nLast-Event-ID: abc",
    "GET /runs/r1/events?types=task.complted",
    "GET /runs/r1/events?types=task.finished*",
    "GET /runs/r1/events?types=",
    "GET /runs/r1/events?type=task.*",
    "GET /runs/r1/events?throttle=5",
    "GET /runs/r1/events?throttle=fast",
    "GET /runs/r1/events?heartbeat=0",
    "GET /runs/r1/events?tail=-5",
    "GET /runs/r1/events?tail=1&tail=2",
    "GET /runs/r1/events?snapshot=yes",
    "GET /runs/r1/events?logs=x",
    "GET /runs/r1/events?await_run=1000",
    "GET /runs/r1/events?on_disconnect=stop",
    "GET /runs/r1/events?dialect=nativ",
    "GET /runs/r1/events?dialect=ag-ui&tail=5",
    "GET /runs/r1/events?dialect=steps&logs=yes",
    "GET /runs/r1/events?dialect=steps&include_history=0",
    "GET /runs/r1/events?dialect=agents&names=0",
    "GET /runs/r1/events?dialect=steps&children=1",
    "GET /runs/r1/events?limit=5",
    "GET /runs/r1/events?heartbeat=5\nAccept: application/json",
    "GET /runs/r1/events?dialect=steps\nAccept: application/x-ndjson",
    "GET /runs/r1/ws",
    "GET /events?parents=r1",
    "GET /events?meta.=ann",
    "GET /runs/r1/events\nAccept: text/html",
    "GET /runs/r1/tasks/fecth/output",
    "GET /runs?status=done",
    "GET /runs?limit=0",
    "GET /runs?state=running",
    "GET /runs?cursor=nope",
    "GET /workflows/cencus",
    'POST /workflows/cencus/runs\n{"input": {"root": "src"}}',
    "POST /workflows/census/runs",
    'POST /workflows/census/runs\n{"inptu": {"root": "src"}}',
    'POST /workflows/census/runs\n{"input": "src"}',
    'POST /workflows/census/runs\n{"input": {"rot": "src"}}',
    'POST /workflows/census/runs\n{"input": {"root": 5}}',
    'POST /workflows/census/runs\n{"root": "src"}',
    'POST /workflows/census/runs\n["src"]',
    'POST /workflows/census/runs\n{"input": {"root": "src"}',
    'POST /workflows/census/runs\nContent-Type: text/plain\n{"input": {"root": "src"}}',
    'POST /workflows/census/runs\n{"input": {"root": "src"}, "run_id": 5}',
    'POST /workflows/census/runs\n{"input": {"root": "src"}, "run_id": "my run"}',
    'POST /workflows/census/runs\n{"input": {"root": "src"}, "run_id": "r1"}',
    'POST /workflows/census/runs\n{"input": {"root": "src"}, "meta": "x"}',
    'POST /workflows/census/runs\n{"input": {"root": "src"}, "budget": {"cots": 5}}',
    'POST /workflows/census/runs\nPrefer: wait=soon\n{"input": {"root": "src"}}',
    'POST /workflows/census/runs\nIdempotency-Key: \n{"input": {"root": "src"}}',
    'PUT /runs/r1\n{"workflow": "census", "input": {"root": "lib"}}',
    'PUT /runs/r2\n{"input": {"root": "src"}}',
    'POST /runs\n{"tasks": [{"id": "a", "tool": "fetch"}]}',
    "POST /runs",
    "POST /runs/r1/cancel",
    'POST /runs/r1/cancel\n{"grace": "10"}',
    'POST /runs/r1/cancel\n{"grace": -1}',
    'POST /runs/r1/cancel\n{"why": "x"}',
    "POST /runs/r1/stop",
    "GET /runs/r1/cancel",
    'POST /runs/r1/input\n{"task": "fetch"}',
    'POST /runs/r1/input\n{"task": "fetch", "value": true}',
    'POST /runs/r1/events\n{"type": "page.fetched"}',
    "POST /runs/r1/events\n[5]",
    "POST /runs/r1/close",
    'PUT /runs/r2\n{"session": true, "input": {}}',
    'PUT /runs/r2\n{"workflow": "census", "idle": 60}',
    "DELETE /runs/r2",
    "POST /runs/r2/retry",
)


def run_shell(row: str, folder: Path) -> str:
    (folder / "flow.py").write_text(
        "from reactor import Workflow\n\nflow = Workflow('census')\n\n\n"
        "@flow.task\ndef fetch(root: str, depth: int = 1) -> list[str]:\n    return [root]\n"
    )
    (folder / "two.py").write_text(
        "from reactor import Workflow\n\na = Workflow('a')\nb = Workflow('b')\n"
        "a.task(lambda: 1, name='t')\nb.task(lambda: 1, name='t')\n"
    )
    (folder / "broken.py").write_text("import nope_nope\n")
    (folder / "empty.py").write_text("x = 1\n")
    (folder / "plan.json").write_text('{"tasks": [{"id": "a", "tool": "fetch"}]}')
    return run_command(row, folder)


SHELL = (
    "reactor run nope.py",
    "reactor run empty.py",
    "reactor run broken.py",
    "reactor run two.py",
    "reactor run flow.py:cencus root=src",
    "reactor run flow.py",
    "reactor run flow.py root",
    "reactor run flow.py rot=src",
    "reactor run flow.py root=src depth=deep",
    "reactor run flow.py root=src root=lib",
    "reactor run flow.py root=src --store runs.db",
    "reactor run flow.py root=src --send approve=true",
    "reactor run flow.py root=src --send fetch",
    "reactor run flow.py root=src --jsn",
    "reactor run plan.json",
    "reactor run flow.py root=src --tools flow.py",
    "reactor serve flow.py --host 0.0.0.0",
    "reactor serve flow.py --port 99999",
    "reactor watch r1",
    "reactor send http://127.0.0.1:1/api/v1/runs/r1 approve true --run=",
    "reactor send http://127.0.0.1:1/api/v1/runs/r1 approve true --key=",
    "reactor graph nope.py",
    "reactor grpah flow.py",
)

SECTIONS = (
    Section("Applications", "", run_app, APP, SETUP),
    Section("Routes of your own", "", run_app, OWN, SETUP),
    Section("Dialects", "", run_dialect, REGISTERED, DIALECTS),
    Section(
        "Streams in a handler of yours",
        "In `async def handler(request)`, where `run` is a run of this engine. It is the handler's error, so the "
        "client is answered 500 and the log has the sentence.",
        run_handler,
        STREAM,
    ),
    Section(
        "Requests",
        "Below `/api/v1`, to a server with the workflow `census` whose task `fetch` takes `root: str`; its run `r1` "
        "has ended. The first line is the request, then come headers and the body. A `Content-Type` that is not shown "
        "is `application/json`. The sentence is the `detail` of the problem document.",
        partial(run_request, FLOW),
        REQUESTS,
    ),
    Section(
        "The command `reactor`",
        "`flow.py` has that workflow, `two.py` two of them, `empty.py` none, `broken.py` imports a module that there "
        "is not, and `plan.json` names a tool `fetch`.",
        run_shell,
        SHELL,
    ),
)
