"""What every dialect must keep. A law takes a dialect and the log of an ended run, and fails by ``AssertionError``."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from reactor.events.event import Event, Notice
from reactor.events.vocabulary import TERMINAL
from reactor_web.dialects import Dialect, End, Opening, Opens
from reactor_web.sse.parser import Frame, Parser

Law: TypeAlias = Callable[[Dialect, Sequence[Event]], None]

_ID: Final = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))?")


def prefix(dialect: Dialect, log: Sequence[Event]) -> None:
    """The frames of a prefix of the log are a prefix of the frames of the log; the same log gives the same bytes."""
    whole = _frames(dialect, log)
    for length in range(len(log) + 1):
        assert whole.startswith(_frames(dialect, log[:length])), f"{length} events: not a prefix of all frames"
    assert whole == _frames(dialect, log), "the same events gave other frames"


def any_part(dialect: Dialect, log: Sequence[Event]) -> None:
    """A dialect that does not fold gives an event the frames it has in the whole log, wherever one begins."""
    if not dialect.info.folds:
        singly = b"".join([dialect.step(None, event) for event in log])
        assert singly == _frames(dialect, log), "frames depend on earlier events, but the dialect says it does not fold"
        for event in log:
            assert len(_parse(dialect.step(None, event))) <= 1, "several frames of one event: the dialect must fold"


def address(dialect: Dialect, log: Sequence[Event]) -> None:
    """The last frame of an event has ``id: <seq>``; those before it have ``<seq>.<k>``, k from 1.

    In a counted dialect the id of the n-th frame is ``n``.
    """
    if dialect.info.counted:
        ids = [frame.id for frame in _parse(_frames(dialect, log))]
        assert ids == [str(n) for n in range(1, len(ids) + 1)], "the ids of a counted dialect are 1, 2, 3, …"
        return
    for event, data in _steps(dialect, log):
        frames = _parse(data)
        wanted = [f"{event.seq}.{k}" for k in range(1, len(frames))] + [str(event.seq)]
        assert [frame.id for frame in frames] == wanted[-len(frames) :] or not frames, f"ids of {event}"


def ids_grow(dialect: Dialect, log: Sequence[Event]) -> None:
    """Ids only grow; ``<seq>.<k>`` stands before ``<seq>``."""
    ids = [_place(frame.id) for _, data in _steps(dialect, log) for frame in _parse(data)]
    assert ids == sorted(set(ids)), "ids do not grow"


def opening_once(dialect: Dialect, log: Sequence[Event]) -> None:
    """A client with a cursor is shown no opening, and of an opening only the last frame may have an id."""
    for started in (None, log[0]):
        assert dialect.begin(started, "resume")[1] == b"", "an opening for a client that has a cursor"
        frames = _parse(dialect.begin(started, "fresh")[1])
        assert not any(frame.id for frame in frames[:-1]), "an opening frame has an id before the last one"
    if isinstance(dialect, Opens):
        assert not _parse(dialect.connected("run-1")), "what is written at once must be comments"
        state, _ = dialect.begin(log[0], "fresh")
        for event in log:
            frames = _parse(dialect.opening(state, event.run_id, event.seq))
            assert [frame.id for frame in frames] == [""] * (len(frames) - 1) + [str(event.seq)], "ids of an opening"
            dialect.step(state, event)
        ids = [frame.id for frame in _parse(dialect.opening(state, log[0].run_id, None))]
        assert not any(ids), "an id in the opening of a run that has ended"


def kept_state(dialect: Dialect, log: Sequence[Event]) -> None:
    """A copy of the state goes on as the state does, so that a client can come back at any event."""
    state, _ = dialect.begin(log[0], "resume")
    for event in log:
        copy = pickle.loads(pickle.dumps(state))
        assert dialect.step(copy, event) == dialect.step(state, event), (
            f"a copy of the state made other frames of {event}"
        )


def one_end(dialect: Dialect, log: Sequence[Event]) -> None:
    """What tells the end of a run comes once, and a stream that closes for another reason is told otherwise.

    The frames of the two must have different event names. A dialect without names gives no frame for a closing stream.
    In a session the application may have told the end before.
    """
    end = _parse(_end(dialect, log, "stream.end", log[-1].seq))
    closing = _parse(_end(dialect, log, "stream.closing", None))
    last = [frame for event, data in _steps(dialect, log) if event.type in TERMINAL for frame in _parse(data)]
    assert end or last or log[0].data.get("session") is True, "nothing tells the end of a run"
    ends = {(frame.event, frame.data) for frame in [*end, *last]}
    assert not ends & {(frame.event, frame.data) for frame in closing}, "closing looks like the end"
    before = [frame for event, data in _steps(dialect, log) if event.type not in TERMINAL for frame in _parse(data)]
    assert not ends & {(frame.event, frame.data) for frame in before}, "an end before the end"
    names = {frame.event for frame in closing} & {frame.event for frame in end}
    assert not names, f"closing has the event name of the end: {names}"


def whole_frames(dialect: Dialect, log: Sequence[Event]) -> None:
    """A heartbeat between frames changes none of them, and no frame is left open."""
    state, _ = dialect.begin(log[0], "resume")
    heartbeat = dialect.heartbeat(state, 1, "2026-11-21T12:00:01.123456Z")
    beats = _parse(heartbeat)
    for event, data in _steps(dialect, log):
        assert not data or data.endswith(b"\n\n"), f"the frames of {event} do not end with a blank line"
        assert _parse(heartbeat + data) == beats + _parse(data), f"a heartbeat before {event} changes its frames"


LAWS: Final[tuple[Law, ...]] = (
    prefix, any_part, address, ids_grow, opening_once, kept_state, one_end, whole_frames,
)  # fmt: skip


def _steps(dialect: Dialect, log: Sequence[Event], mode: Opening = "resume") -> list[tuple[Event, bytes]]:
    state, _ = dialect.begin(log[0] if log else None, mode)
    return [(event, dialect.step(state, event)) for event in log]


def _frames(dialect: Dialect, log: Sequence[Event]) -> bytes:
    return b"".join([data for _, data in _steps(dialect, log)])


def _end(dialect: Dialect, log: Sequence[Event], type: str, id: int | None) -> bytes:
    state, _ = dialect.begin(log[0], "resume")
    for event in log:
        dialect.step(state, event)
    notice = Notice(type, log[0].run_id, log[-1].time, {"status": "completed", "reason": "shutdown"})
    return dialect.end(state, End(notice, id))


def _parse(data: bytes) -> list[Frame]:
    return Parser(sticky_id=False).feed(data)


def _place(id: str) -> tuple[int, float]:
    match = _ID.fullmatch(id)
    assert match is not None, f"{id!r} is not <seq> or <seq>.<k>"
    return int(match[1]), float(match[2] or "inf")
