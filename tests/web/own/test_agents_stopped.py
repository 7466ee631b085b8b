"""An agent whose server stops in the middle: HttpAgent does not take that for success, and goes on when it is back."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.agui import PATH, Agent, user
from tests.helpers.warm import start_python


class Process:
    """A server of ``tests.helpers.agent_server``, which can be ended and begun again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}{PATH}"
        self.gate = folder / "gate"
        self.store = f"sqlite:///{folder}/runs.db"
        self.begin()

    def begin(self) -> None:
        self.process = start_python("-m", "tests.helpers.agent_server", self.port, self.store, self.gate)
        assert self.process.stdout.readline() == "serving\n", self.process.communicate()[1]

    def end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.communicate(timeout=30)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path)
    yield process
    process.end(signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
async def test_a_server_that_stops_is_not_taken_for_success(process: Process, how: signal.Signals) -> None:
    """A shutdown is told as RUN_ERROR, a kill is a broken connection; the thread then goes on to its answer."""
    async with Agent(process.url, "t1") as agent:
        await agent.begin(message=user("m1", "whales"), runId="r1", tell="TEXT_MESSAGE_CONTENT")
        assert (await agent.next())["event"]["delta"] == "about whales"
        process.end(how)
        cut = await agent.ended()
        assert cut["outcome"] is None
        assert "RUN_FINISHED" not in cut["types"]
        if how == signal.SIGTERM:
            assert cut["failed"]["code"] == "stream_closing"
        else:
            assert cut["error"] is not None
        process.begin()
        await agent.begin(tell="STEP_STARTED")  # the same messages: it joins
        assert (await agent.next())["event"]["stepName"] == "speak"
        process.gate.touch()
        asked = await agent.ended()
        assert (asked["failed"], asked["pending"]) == (None, ["ask/sure"])
        said = [message["content"] for message in asked["messages"]]
        assert said == ["whales", "about whales", "about whales"], "each attempt once, though the client had the first"
        process.end(how)  # while nothing runs: the question is still open when it is back
        process.begin()
        answer = {"interruptId": "ask/sure", "status": "resolved", "payload": True}
        done = await agent.run(resume=[answer])
        assert (done["failed"], done["error"], done["result"]) == (None, None, {"ask": True})
