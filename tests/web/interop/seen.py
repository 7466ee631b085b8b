"""What a client has shown so far."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

Line = dict[str, Any]
"""What a client shows: ``{opened}`` for each stream that it gets, ``{id, event, data}`` for each frame or ``{chunk}``
for each message of a dialect (``{anew}`` where they begin anew), what it made of them, and at last ``{ended}``."""


class Frame(NamedTuple):
    id: str
    event: str
    data: str


class Seen:
    """The lines of one client, and who waits for some of them."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.error: str | None = None
        """Why it ended without having said so."""
        self.is_over = False
        """Whether no more will come."""
        self._waiting: list[tuple[str, asyncio.Event]] = []
        self._text: list[str] = []

    def note(self, line: Line) -> None:
        text = json.dumps(line)
        self.lines.append(line)
        self._text.append(text)
        for mark, event in self._waiting:
            if mark in text:
                event.set()

    def close(self, error: str | None = None) -> None:
        """It has ended, or is given up."""
        self.is_over = True
        if self.ended is None or error is not None:
            self.error = error or "it ended without an end of the run"
        for _, event in self._waiting:
            event.set()

    async def until(self, mark: str) -> None:
        """Returns when a line has had this text, or none will come."""
        event = asyncio.Event()
        if self.is_over or any(mark in text for text in self._text):
            return
        self._waiting.append((mark, event))
        await event.wait()

    def _all(self, key: str) -> list[Any]:
        return [line[key] for line in self.lines if key in line]

    def last(self, key: str) -> Any:
        """What was shown last under this key; None if nothing was."""
        return (self._all(key) or [None])[-1]

    @property
    def ended(self) -> str | None:
        """By what it knew that the run has ended."""
        return self.last("ended")

    @property
    def opened(self) -> int:
        """How many streams it got."""
        return len(self._all("opened"))

    @property
    def frames(self) -> list[Frame]:
        return [Frame(line["id"], line["event"], line["data"]) for line in self.lines if "data" in line]

    @property
    def chunks(self) -> list[Any]:
        """The messages of a dialect."""
        return self._all("chunk")

    @property
    def messages(self) -> list[list[Any]]:
        """The same, a list for each time that the message began anew."""
        messages: list[list[Any]] = []
        for line in self.lines:
            if "anew" in line:
                messages.append([])
            elif "chunk" in line:
                messages[-1].append(line["chunk"])
        return messages

    @property
    def size(self) -> int:
        """Bytes of data in all of it."""
        data = [frame.data for frame in self.frames] or [json.dumps(chunk) for chunk in self.chunks]
        return sum(len(text.encode()) for text in data)
