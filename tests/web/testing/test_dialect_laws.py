"""The laws of dialects hold for every dialect there is, over recorded runs, and each law can fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reactor.events.event import Event, Notice
from reactor_web import dialects
from reactor_web.dialects import Dialect, DialectInfo, End, Opening
from reactor_web.dialects.native import Native
from reactor_web.testing import DIALECT_LAWS
from reactor_web.testing.dialect_laws import Law
from tests.events.golden.record import FOLDER, read
from tests.helpers.lines import Lines

NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
ALL: list[Dialect] = [*(dialects.find(name) for name in dialects.known()), Lines()]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.info.name)
@pytest.mark.parametrize("law", DIALECT_LAWS, ids=lambda law: law.__name__)
def test_the_dialect_keeps_the_law(law: Law, dialect: Dialect, name: str) -> None:
    """Each law, for each registered dialect and one that folds, over each recorded run."""
    law(dialect, read(name)[0])


class Broken(Native):
    """A native dialect with one fault."""

    info = DialectInfo("broken")

    def __init__(self, **methods: Callable[..., Any]) -> None:
        for name, method in methods.items():
            setattr(self, name, method)


def counting() -> Callable[..., bytes]:
    made: list[int] = []

    def step(state: None, event: Event) -> bytes:
        made.append(event.seq)
        return Native.step(None, event) if len(made) % 7 else b""

    return step


def alternating() -> Callable[..., bytes]:
    calls: list[int] = []

    def step(state: None, event: Event) -> bytes:
        calls.append(event.seq)
        return Native.step(None, event) if len(calls) % 2 else b""

    return step


def opening(started: Event | None, mode: Opening) -> tuple[None, bytes]:
    return None, b"event: hello\ndata: 1\n\n"


def end_always(state: None, why: End) -> bytes:
    return Native.end(None, End(Notice("stream.end", "r", "t", {}), why.id))


FAULTS: dict[str, Broken] = {
    "prefix": Broken(step=counting()),
    "any_part": Broken(step=lambda state, event: Native.step(state, event) * 2),
    "address": Broken(step=lambda state, event: b"id: 1\ndata: 1\n\n"),
    "ids_grow": Broken(step=lambda state, event: b"id: 1\ndata: 1\n\n"),
    "opening_once": Broken(begin=opening),
    "kept_state": Broken(step=alternating()),
    "one_end": Broken(end=end_always),
    "whole_frames": Broken(heartbeat=lambda state, n, time: b"data: "),
}


@pytest.mark.parametrize("law", DIALECT_LAWS, ids=lambda law: law.__name__)
def test_the_law_can_fail(law: Law) -> None:
    """A dialect with the fault that the law is about does not pass it."""
    with pytest.raises(AssertionError):
        law(FAULTS[law.__name__], read(NAMES[0])[0])
