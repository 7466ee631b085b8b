"""``?names=0``: a dialect without ``event:`` lines, so that ``onmessage`` of a browser gets every frame."""

from __future__ import annotations

from collections.abc import Generator
from functools import lru_cache

from reactor.events.event import Event, Notice
from reactor_web.dialects.base import Dialect, DialectInfo, End, Opening, Opens, Prepares, State
from reactor_web.dialects.framing import without_name


@lru_cache(maxsize=256)
def unnamed(dialect: Dialect) -> Dialect:
    """The dialect without the names of its frames; the same one for the same dialect, since clients share its bytes."""
    return _UnnamedOpens(dialect) if isinstance(dialect, Opens) else _Unnamed(dialect)


class _Unnamed:
    __slots__ = ("_dialect",)

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    @property
    def info(self) -> DialectInfo:
        return self._dialect.info

    def begin(self, started: Event | None, mode: Opening) -> tuple[State, bytes]:
        state, frames = self._dialect.begin(started, mode)
        return state, without_name(frames)

    def step(self, state: State, event: Event) -> bytes:
        return without_name(self._dialect.step(state, event))

    def notice(self, state: State, notice: Notice, id: int | None = None) -> bytes:
        return without_name(self._dialect.notice(state, notice, id))

    def heartbeat(self, state: State, n: int, time: str) -> bytes:
        return without_name(self._dialect.heartbeat(state, n, time))

    def end(self, state: State, why: End) -> bytes:
        return without_name(self._dialect.end(state, why))


class _UnnamedOpens(_Unnamed):
    __slots__ = ("_opens",)

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        assert isinstance(dialect, Opens)
        self._opens = dialect

    def connected(self, run_id: str) -> bytes:
        return self._opens.connected(run_id)

    def opening(self, state: State, run_id: str, seq: int | None) -> bytes:
        return without_name(self._opens.opening(state, run_id, seq))

    def prepare(self, state: State) -> Generator[None]:
        if isinstance(self._opens, Prepares):
            yield from self._opens.prepare(state)
