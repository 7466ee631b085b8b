"""``AI_SDK``: a run as the UI message stream, version 1, of the Vercel AI SDK. A run is one message of the assistant.

    start, start-step, …the chunks of the events…, finish-step, finish, [DONE]

The id of a frame is the number of its chunk, from 1, so a cursor is how many chunks a client has. ``[DONE]`` is no
chunk. Source: the package ``ai`` 7.0, ``ui-message-stream/ui-message-chunks``; no chunk is sent that its version 6
would refuse.
"""

from __future__ import annotations

import re
from typing import Any, Final

from reactor.events.event import Event, Notice
from reactor.events.fold import evolve
from reactor.events.state import RunState
from reactor.events.vocabulary import TERMINAL
from reactor_web.dialects.ai_sdk.chunks import (
    Chunk,
    Chunks,
    begin_step,
    break_off_calls,
    end_step,
    end_texts,
    frames_of,
)
from reactor_web.dialects.ai_sdk.names import RUN
from reactor_web.dialects.ai_sdk.own import own_chunks
from reactor_web.dialects.ai_sdk.questions import before
from reactor_web.dialects.ai_sdk.tasks import task_chunks
from reactor_web.dialects.base import Dialect, DialectInfo, DialectOption, End, Opening
from reactor_web.dialects.reading import error_text, is_own
from reactor_web.sse.frames import HEARTBEAT

DONE: Final = b"data: [DONE]\n\n"

CHAT_MESSAGE: Final = "chat_message"
"""The member of a run's meta with the id of the message that it goes on with. A new message has the id of its run."""

_INDEX: Final = re.compile(r"[0-9]{1,18}")

_OF_END: Final = ("reason", "outputs", "outputs_ref", "duration_ms", "cost", "tokens")


def read_start_index(text: str) -> int:
    """How many chunks a client has; raises ValueError. Below 0 it takes the number of all chunks: see ``add_chat``."""
    if not _INDEX.fullmatch(text):
        raise ValueError("must be how many chunks were seen, 0 or more")
    return int(text)


class AiSdk:
    """The dialect ``ai-sdk``."""

    __slots__ = ()

    info = DialectInfo(
        "ai-sdk",
        headers={"x-vercel-ai-ui-message-stream": "v1"},
        folds=True,
        # filters, and frames that belong to no event, would change the numbers
        refuses=frozenset({"types", "tasks", "throttle", "tail", "snapshot", "logs"}),
        options={
            "startIndex": DialectOption(
                read_start_index, 0, "How many chunks the client has, as WorkflowChatTransport says it.", sets="after"
            )
        },
        counted=True,
        fetch_client=True,
        run_header="x-workflow-run-id",
    )

    @staticmethod
    def begin(started: Event | None, mode: Opening) -> tuple[Chunks, bytes]:
        """Nothing stands before the first chunk."""
        return Chunks(RunState("" if started is None else started.run_id)), b""

    @staticmethod
    def step(state: Chunks, event: Event) -> bytes:
        """The frames of the chunks of an event; many events have none."""
        out: list[Chunk] = []
        was = before(state, event)
        evolve(state.run, event)
        if event.type == "run.started":
            _start(state, event, out)
        elif event.type in TERMINAL:
            _finish(state, event, out)
        elif is_own(event):
            own_chunks(state, event, out)
        else:
            task_chunks(state, event, was, out)
        return frames_of(state, out)

    @staticmethod
    def notice(state: Chunks, notice: Notice, id: int | None = None) -> bytes:
        """Nothing: a client takes every frame for a chunk, and refuses one that it does not know."""
        return b""

    @staticmethod
    def heartbeat(state: Chunks, n: int, time: str) -> bytes:
        """A comment."""
        return HEARTBEAT

    @staticmethod
    def end(state: Chunks, why: End) -> bytes:
        """``[DONE]`` after the run's last event, nothing where the stream ends for another reason."""
        return DONE if why.notice.type == "stream.end" else b""


AI_SDK: Final[Dialect] = AiSdk()


def _start(state: Chunks, event: Event, out: list[Chunk]) -> None:
    state.run.run_id = event.run_id
    state.is_session = event.data.get("session") is True
    if not state.is_session:
        state.messages = 1
        meta: dict[str, Any] = event.data.get("meta") or {}
        message = meta.get(CHAT_MESSAGE)  # it goes on with a message of the client's
        out.append({"type": "start", "messageId": message if isinstance(message, str) else event.run_id})
        begin_step(state, out)


def _finish(state: Chunks, event: Event, out: list[Chunk]) -> None:
    """The end of the message, unless the application has said it."""
    if state.has_finished:
        return
    status = event.type.removeprefix("run.")
    error = error_text(event)
    end_texts(state, out)
    break_off_calls(state, out, error or "the run has ended")
    data = {"status": status, **{name: event.data[name] for name in _OF_END if name in event.data}}
    if error is not None:
        data["error"] = error
    out.append({"type": RUN, "id": event.run_id, "data": data})
    if status == "failed":
        out.append({"type": "error", "errorText": error})
    elif status == "cancelled":
        out.append({"type": "abort", "reason": event.data.get("reason") or "requested"})
    if state.in_step:
        end_step(state, out)
    reason = {"completed": "stop", "failed": "error"}.get(status, "other")
    out.append({"type": "finish", "finishReason": reason})
