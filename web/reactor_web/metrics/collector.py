"""``ReactorCollector``: the metrics of an engine in a registry of one's own."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from reactor.engine import Engine
from reactor_web.metrics.families import empty_families, families
from reactor_web.metrics.gathered import Metrics
from reactor_web.streaming.streams import streams_in


class ReactorCollector(Collector):
    """The metrics of engines, for an application that has a registry already:

        prometheus_client.REGISTRY.register(ReactorCollector(engine))

    - ``engines``: those that are counted, together. One that is open already is given on its loop.
    - ``app``: an aiohttp application whose streams are counted, too: that of ``create_app`` or ``mount``. Its own
      ``/metrics`` and this collector count the same things apart, and each costs what it costs.

    ``collect`` may be called on any thread. Raises TypeError for what is no engine.
    """

    def __init__(self, *engines: Engine, app: web.Application | None = None) -> None:
        for engine in engines:
            if not isinstance(engine, Engine):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
                raise TypeError(f"ReactorCollector takes engines, not {type(engine).__name__}")
        if not engines and app is None:
            raise TypeError("ReactorCollector needs an engine: ReactorCollector(engine)")
        self._metrics = Metrics()
        if app is not None:
            self._metrics.follow(streams_in(app))
        for engine in engines:
            self._metrics.add(engine)

    def close(self) -> None:
        """Counts nothing more."""
        self._metrics.close()

    def collect(self) -> Iterable[Family]:
        return families(self._metrics)

    def describe(self) -> Iterable[Family]:
        """The names, for ``register``, which would otherwise collect."""
        return empty_families()


class AppCollector(Collector):
    """What ``/metrics`` of an application shows of it."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Family]:
        return families(self._metrics)

    def describe(self) -> Iterable[Family]:
        return empty_families()
