"""A run that goes on in a later graph, in the words of each dialect that lists tasks: what left is gone, what came has
its place."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from reactor.events.event import Event
from reactor.events.fold import replay
from reactor_web.dialects.ag_ui.dialect import AG_UI
from reactor_web.dialects.ag_ui.patch import apply
from reactor_web.dialects.agents.dialect import AGENTS
from reactor_web.dialects.execution import EXECUTION
from reactor_web.dialects.outputs import final_outputs
from reactor_web.dialects.reading import facts_after, read_facts
from reactor_web.dialects.steps import STEPS
from reactor_web.dialects.timeline import TIMELINE
from reactor_web.terminal.lines import plain_line
from tests.events.golden.record import read

LOG: list[Event] = read("upgraded_2")[0]
UPGRADED = next(event for event in LOG if event.type == "run.upgraded")
GRAPH = ["items", "check", "ask", "publish", "index", "tell"]


def frames(dialect: Any, log: list[Event] = LOG) -> list[dict[str, Any]]:
    """The data of all frames."""
    state, first = dialect.begin(log[0], "resume")
    text = first + b"".join(dialect.step(state, event) for event in log)
    return [orjson.loads(line[5:]) for line in text.splitlines() if line.startswith(b"data:")]


def test_facts_are_those_of_the_later_graph() -> None:
    """In its order; what stays is what it was."""
    before = read_facts(LOG[0])
    facts = facts_after(before, UPGRADED)
    assert list(facts.tasks) == GRAPH
    assert [task.place for task in facts.tasks.values()] == list(range(6))
    assert facts.tasks["publish"] is before.tasks["publish"]
    assert "tidy" in before.tasks


def test_steps_are_counted_and_placed_anew() -> None:
    """A step that came says its place of the new number, and the progress never falls."""
    updates = frames(STEPS)
    told = next(update for update in updates if (update["step_name"], update["status"]) == ("tell", "completed"))
    assert (told["step_index"], told["message"]) == (5, "Completed step 6 of 6")
    assert sorted(update["progress"] for update in updates) == [update["progress"] for update in updates]


def test_the_batch_of_an_execution_is_in_the_later_order() -> None:
    """With as many layers as the later graph has."""
    batch = EXECUTION.batch(LOG, {})
    ids = [row["taskId"] for row in batch.body["results"]]
    assert ids == ["items", "check[0]", "check[1]", "ask", "publish", "index[0]", "index[1]", "tell"]
    assert batch.body["parallelizationLayers"] == 5


def test_agents_leave_and_come() -> None:
    """A client that comes later is shown the later ones only; one that was there hears how many steps there are."""
    state, _ = AGENTS.begin(LOG[0], "resume")
    for event in LOG[: UPGRADED.seq]:
        AGENTS.step(state, event)
    assert [agent["agentName"] for agent in state.shown_agents()] == [
        "items", "check[0]", "check[1]", "ask", "publish", "tell",
    ]  # fmt: skip
    assert [agent["stepNumber"] for agent in state.shown_agents()] == [1, 2, 2, 3, 4, 6]
    assert {"totalSteps": 6} in frames(AGENTS, [event for event in LOG if event.seq <= UPGRADED.seq])


def test_the_board_of_an_ag_ui_client_has_the_later_tasks() -> None:
    """Its patches fit what it was told, and lead to what the run is."""
    board: Any = None
    for frame in frames(AG_UI):
        if frame["type"] == "STATE_SNAPSHOT":
            board = frame["snapshot"]
        elif frame["type"] == "STATE_DELTA":
            board = apply(board, frame["delta"])
    shown = board["reactor"]
    assert {id: task["status"] for id, task in shown["tasks"].items()} == {
        id: task.status for id, task in replay("release", LOG).tasks.items()
    }
    assert shown["run"]["tasks"] == 8


@pytest.mark.parametrize("is_large", [False, True])
def test_the_outputs_are_those_of_the_later_leaves(is_large: bool) -> None:
    """Also where they are put together from the tasks."""
    log = list(LOG)
    if is_large:
        body = log[-1].decode()
        data = {name: value for name, value in body["data"].items() if name != "outputs"} | {"outputs_ref": "runs/r"}
        log[-1] = Event.from_json(orjson.dumps({**body, "data": data}))
    assert final_outputs(log, {}) == {"index": [1, 2], "tell": "published by 2"}


def test_the_names_of_a_timeline_come_from_the_later_tasks() -> None:
    """And there is no entry for the change itself."""
    named = orjson.loads(UPGRADED.json.replace(b'{"title":"Tell"}', b'{"agent_name":"Teller"}'))
    log = [Event.from_json(orjson.dumps(named)) if event is UPGRADED else event for event in LOG]
    entries = frames(TIMELINE, log)
    assert [entry["agent_name"] for entry in entries if entry["type"] == "AGENT_COMPLETE"][-1] == "Teller"
    assert len(entries) == len(frames(TIMELINE, [event for event in log if event.type != "run.upgraded"]))


def test_the_command_says_it_in_a_sentence() -> None:
    """With the version, and what is gone."""
    line = plain_line(UPGRADED) or ""
    assert line.endswith("run goes on in a later graph, of version 2, with 4 tasks, without tidy")
