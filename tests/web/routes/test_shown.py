"""One value is shown in one way: by the events, HTTP, the terminal, and what ``await run`` gives."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from reactor import Engine, Workflow
from reactor.events.shown import show
from tests.helpers import odd_values
from tests.helpers.command import reactor
from tests.helpers.events import of_type
from tests.helpers.odd_values import ODD_VALUES
from tests.helpers.runs import full_log
from tests.helpers.server import Serve

SHOWN = {name: shown for name, (_, shown) in ODD_VALUES.items()}


async def test_events_and_http_show_a_value_alike(serve: Serve, tmp_path: Path) -> None:
    """``Prefer: wait``, ``GET``, the output of one task, the events, ``await run``; and all again from the log."""
    log = f"sqlite:///{tmp_path}/runs.db"
    engine = Engine(log)
    server = await serve(engine, odd_values.flow)
    status, waited = await server.post("/workflows/odd/runs", {"run_id": "r"}, Prefer="wait=20")
    assert (status, waited["status"]) == (201, "completed")
    run = await engine.get("r")
    assert {name: show(output) for name, output in (await run).items()} == SHOWN
    completed = of_type(await full_log(engine, run), "task.completed")
    shown_by_events = {event.task_id: event.data["output"] for event in completed if "output" in event.data}
    assert shown_by_events == {name: shown for name, shown in SHOWN.items() if name != "large"}
    for answer in (waited, (await server.get("/runs/r"))[1]):
        assert answer["outputs"] == SHOWN
    for name, shown in SHOWN.items():
        assert await server.get(f"/runs/r/tasks/{name}/output") == (200, shown)
    everything = b"".join([event.json for event in await full_log(engine, run)])
    assert b"topsecret" not in everything
    await engine.drain()
    async with Engine(log, workflows=[odd_values.flow]) as later:
        assert await (await later.get("r")).shown_outputs() == SHOWN


@pytest.mark.parametrize("accept_wait", [True, False])
async def test_a_completed_run_whose_output_is_not_json_is_no_error(serve: Serve, accept_wait: bool) -> None:
    """A client that is answered 500 would start it a second time."""
    flow = Workflow("big")
    flow.task(lambda: {1: 2**70}, name="only")
    server = await serve(Engine(), flow)
    headers = {"Prefer": "wait=20"} if accept_wait else {}
    status, _ = await server.put("/runs/r", {"workflow": "big"}, **headers)
    assert status == 201
    status, body = await server.put("/runs/r", {"workflow": "big"}, Prefer="wait=20")
    assert (status, body["outputs"]) == (200, {"only": {"1": {"$repr": str(2**70)}}})


def test_the_terminal_shows_what_the_events_show() -> None:
    """Text as it is, everything else as JSON: the same JSON."""
    done = reactor("run", odd_values.__file__)
    assert done.returncode == 0, done.stderr
    assert "topsecret" not in done.stdout + done.stderr
    _, *parts = done.stdout.partition("plain:\n")
    lines = "".join(parts).splitlines()
    starts = [i for i, line in enumerate(lines) if line.removesuffix(":") in SHOWN and line.endswith(":")]
    assert [lines[i][:-1] for i in starts] == list(SHOWN)
    for begin, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        shown, text = SHOWN[lines[begin][:-1]], "\n".join(lines[begin + 1 : end])
        if isinstance(shown, str):
            assert text == shown
        else:
            assert orjson.loads(text) == shown
