"""``AGENTS``: the opening, the notices and the end of a stream, and what polling clients read."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import Any, Final

import orjson

from reactor.events.event import Event, Notice
from reactor_web.bounds import THROTTLE_RANGE
from reactor_web.dialects.agents.emitted import messages_of_own
from reactor_web.dialects.agents.state import AgentsState, Message, message
from reactor_web.dialects.agents.steps import messages_of
from reactor_web.dialects.base import DialectInfo, DialectOption, End, Opening
from reactor_web.dialects.framing import encode, frames_of
from reactor_web.dialects.reading import is_own, read_facts
from reactor_web.sse.frames import field_line


def _milliseconds(text: str) -> float:
    low, high = THROTTLE_RANGE
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text) or not (text == "0" or low <= float(text) <= high):
        raise ValueError(f"must be {low:g} to {high:g} milliseconds, or 0 for all lines")
    return float(text)


class Agents:
    """Named frames ``workflow:…``, ``agent:…``, ``budget:…``, ``log:created``.

    A client without a cursor is shown the run as it is, its last log lines and its agents; then what is new.
    """

    __slots__ = ("_log_throttle",)

    info = DialectInfo(
        "agents",
        throttle=1_000.0,
        folds=True,
        # it has an opening of its own, and its data does not say again what a frame is
        refuses=frozenset({"snapshot", "tail", "logs", "names"}),
        options={
            "log_throttle": DialectOption(
                _milliseconds, 0.0, "Milliseconds between two `log:created`; the next one says how many were left out."
            )
        },
    )

    def __init__(self, log_throttle: float = 0.0) -> None:
        self._log_throttle = log_throttle

    def configured(self, options: Mapping[str, Any]) -> Agents:
        """The same with ``log_throttle`` in milliseconds; 0: all log lines."""
        return Agents(options["log_throttle"])

    def begin(self, started: Event | None, mode: Opening) -> tuple[AgentsState, bytes]:
        """A run that has not begun. What a client is shown first is its ``opening``."""
        return AgentsState(facts=read_facts(started)), b""

    def connected(self, run_id: str) -> bytes:
        """A comment with the id of the workflow."""
        return field_line("", f"Connected to workflow {run_id}")

    def opening(self, state: AgentsState, run_id: str, seq: int | None) -> bytes:
        """``workflow:state``, the last ``log:created``, ``agent:state`` of each agent.

        The last frame tells the end, where no frame of an event does that afterwards: the application has told it
        earlier, or ``seq`` is the run's last event.
        """
        head: list[Message] = [message("workflow:state", state.shown_workflow(run_id))]
        head += [("log:created", line) for line in state.logs]
        frames = [encode(json, event=type) for type, json in head] + state.agent_frames()
        end = state.own_end if seq is None else state.own_end or state.end
        if end is not None:
            frames.append(encode(end[1], event=end[0]))
        if seq is not None:
            frames[-1] = b"id: %d\n%b" % (seq, frames[-1])
        return b"".join(frames)

    def prepare(self, state: AgentsState) -> Generator[None]:
        """Makes most of the opening, in pieces."""
        return state.make_frames()

    def step(self, state: AgentsState, event: Event) -> bytes:
        """The frames of an event; one of the application's own is named by its type."""
        state.now = event.time
        if state.status == "pending":
            state.status = "running"
        make = messages_of_own if is_own(event) else messages_of
        return frames_of(make(event, state, self._log_throttle), event.seq)

    def notice(self, state: AgentsState, notice: Notice, id: int | None = None) -> bytes:
        """A frame with the notice's type as name."""
        return encode(notice.json, event=notice.type, id=id)

    def heartbeat(self, state: AgentsState, n: int, time: str) -> bytes:
        """A comment with the number of the heartbeat."""
        return b": heartbeat %d\n" % n

    def end(self, state: AgentsState, why: End) -> bytes:
        """Nothing at the end of a run, which its last event has told; ``stream.closing`` otherwise.

        Where the application has told the end, the last event has no frame. ``stream.end`` then has its id, by which a
        client that comes back is told that there is no more.
        """
        if why.notice.type == "stream.end" and state.own_end is None:
            return b""
        return self.notice(state, why.notice, why.id)

    def shown(self, state: AgentsState, run_id: str) -> dict[str, Any]:
        """``{workflow, agents, logs}``: the data of the opening's frames."""
        return {
            "workflow": state.shown_workflow(run_id),
            "agents": state.shown_agents(),
            "logs": [orjson.loads(line) for line in state.logs],
        }


AGENTS: Final = Agents()
