"""Two dialects of one's own for the tests: one that opens with the state of the run, one that counts its frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from reactor.events.event import Event, Notice
from reactor_web.dialects import Batch, DialectInfo, DialectOption, End, Opening
from reactor_web.dialects.framing import encode, frames_of
from reactor_web.dialects.table import CHANGES_NUMBERS


@dataclass
class Tally:
    ended: int = 0
    frames: int = 0


def flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("must be 0 or 1")
    return text == "1"


class Board:
    """Named frames; an opening that says how many tasks have ended; ``loud=1`` says it in capitals."""

    info = DialectInfo(
        "board",
        folds=True,
        fetch_client=True,
        options={
            "loud": DialectOption(flag, default=False, about="capitals"),
            "back": DialectOption(int, default=None, about="another name of tail", sets="tail"),
        },
    )

    def __init__(self, *, loud: bool = False) -> None:
        self._loud = loud
        self.steps = 0
        """How many events were folded, of all runs."""

    def configured(self, options: Mapping[str, Any]) -> Board:
        return Board(loud=options["loud"])

    def begin(self, started: Event | None, mode: Opening) -> tuple[Tally, bytes]:
        return Tally(), b""

    def step(self, state: Tally, event: Event) -> bytes:
        self.steps += 1
        if event.type != "task.completed":
            return self._frame(event.type, {}, event.seq)
        state.ended += 1
        return frames_of([("one", b"1"), ("ended", orjson.dumps(state.ended))], event.seq)

    def notice(self, state: Tally, notice: Notice, id: int | None = None) -> bytes:
        return self._frame(notice.type, notice.data, id)

    def heartbeat(self, state: Tally, n: int, time: str) -> bytes:
        return b": beat %d\n" % n

    def end(self, state: Tally, why: End) -> bytes:
        return self._frame(why.notice.type, why.notice.data, why.id)

    def connected(self, run_id: str) -> bytes:
        return f": connected to {run_id}\n".encode()

    def opening(self, state: Tally, run_id: str, seq: int | None) -> bytes:
        return self._frame("board", {"run": run_id}, None) + self._frame("so far", {"ended": state.ended}, seq)

    def shown(self, state: Tally, run_id: str) -> Any:
        return {"ended": state.ended}

    def batch(self, events: Iterable[Event], outputs: Mapping[str, Any]) -> Batch:
        kept = list(events)
        if kept[-1].type != "run.completed":
            return Batch(500, {"detail": "it has failed", "large": sorted(outputs)})
        return Batch(200, {"types": [event.type for event in kept], "large": outputs})

    def refused(self, error: str, time: str) -> bytes:
        return self._frame("refused", {"error": error}, None)

    def _frame(self, name: str, data: Any, id: int | None) -> bytes:
        return encode(orjson.dumps(data), event=name.upper() if self._loud else name, id=id)


class Counting:
    """Unnamed frames with their number as id; the end of a task has three of them, its start has none."""

    info = DialectInfo(
        "counting",
        folds=True,
        counted=True,
        refuses=CHANGES_NUMBERS,
        run_header="X-Run",
        options={"skip": DialectOption(int, default=None, about="how many the client has", sets="after")},
    )

    def begin(self, started: Event | None, mode: Opening) -> tuple[Tally, bytes]:
        return Tally(), b""

    def step(self, state: Tally, event: Event) -> bytes:
        count = {"task.started": 0, "task.completed": 3}.get(event.type, 1)
        frames = [encode(orjson.dumps([event.seq, k]), id=state.frames + k) for k in range(1, count + 1)]
        state.frames += count
        return b"".join(frames)

    def notice(self, state: Tally, notice: Notice, id: int | None = None) -> bytes:
        return encode(orjson.dumps({"notice": notice.type}))

    def heartbeat(self, state: Tally, n: int, time: str) -> bytes:
        return b":\n"

    def end(self, state: Tally, why: End) -> bytes:
        return encode(b'"end"') if why.notice.type == "stream.end" else b""
