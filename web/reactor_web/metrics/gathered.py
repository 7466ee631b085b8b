"""What one page shows: all engines of an application, and its streams."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from aiohttp import web

from reactor.engine import Engine
from reactor.listeners import Listeners
from reactor.tenants.figures import Figures
from reactor_web.metrics.engine_ears import EngineEars
from reactor_web.metrics.lag import LoopLag
from reactor_web.metrics.stream_ears import StreamEars
from reactor_web.streaming.streams import Streams, streams_in

STALLED_SECONDS: Final = 5.0
"""A client that has not read for so long is shown as stalled; after ``SEND_TIMEOUT_SECONDS`` it is cut off."""
_TRIES: Final = 3


class Metrics:
    """Hears of engines and of the streams of one application, and counts. Loop thread only, but for what only looks."""

    def __init__(self) -> None:
        self.engines: list[Engine] = []
        self.streams: Streams | None = None
        self.of_engines = EngineEars(self._is_registered, self._on_engine)
        self.of_streams = StreamEars()
        self.lag = LoopLag()
        self._stream_listeners = Listeners([self.of_streams])
        self._questions = 0
        self.registry: Any = None
        """Of prometheus_client, once the page was asked for."""

    def add(self, engine: Engine) -> None:
        """Hears of this engine, too. One that is open is added on its loop."""
        if engine in self.engines:
            return
        self.engines.append(engine)
        engine.listeners.add(self.of_engines)
        if engine.is_accepting:
            self.lag.begin()

    def follow(self, streams: Streams) -> None:
        """Hears of the streams of an application."""
        if self.streams is None:
            self.streams = streams
            streams.tell(self._stream_listeners)

    def close(self) -> None:
        """Hears nothing more."""
        for engine in self.engines:
            engine.listeners.remove(self.of_engines)
            self.lag.end()
        if self.streams is not None:
            self.streams.forget(self._stream_listeners)

    def _on_engine(self, is_open: bool) -> None:
        if is_open:
            self.lag.begin()
        else:
            self.lag.end()

    def _is_registered(self, workflow: str) -> bool:
        return any(workflow in engine.workflows for engine in self.engines)

    # --- what goes on now ---

    def figures(self) -> list[Figures]:
        """Of each engine."""
        for engine in self.engines:
            for workflow in list(engine.workflows):
                self.of_engines.know(workflow)
        return [engine.figures for engine in self.engines]

    def questions(self) -> int:
        """How many questions of open runs nobody has answered yet."""
        for _ in range(_TRIES):
            with suppress(RuntimeError):  # on another thread than the loop's: a state has changed meanwhile
                self._questions = self._count_questions()
                break
        return self._questions

    def _count_questions(self) -> int:
        may_ask, total = set(self.of_engines.may_ask), 0
        idle = set(may_ask)
        for engine in self.engines:
            counted = engine.count_questions(may_ask)
            total += sum(counted.values())
            idle -= {run for run, count in counted.items() if count}
        self.of_engines.may_ask -= idle  # it comes back when it asks
        return total

    def waits(self) -> list[float]:
        """For how many seconds each client that does not read has been waited for."""
        return [] if self.streams is None else self.streams.waits_for()


METRICS: Final = web.AppKey("reactor_metrics", Metrics)
"""Of an application: what ``/metrics`` of each of its mounts shows."""


def metrics_in(app: web.Application, engines: Iterable[Engine] = ()) -> Metrics:
    """The metrics of everything that is mounted in this application; they hear of these engines, too."""
    metrics = app.get(METRICS)
    if metrics is None:
        metrics = app[METRICS] = Metrics()
        metrics.follow(streams_in(app))
        app.on_cleanup.append(_close)
    for engine in engines:
        metrics.add(engine)
    return metrics


async def _close(app: web.Application) -> None:
    app[METRICS].close()
