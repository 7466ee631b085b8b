"""What the tenants of one engine share."""

from __future__ import annotations

from reactor.errors import EngineClosed
from reactor.listeners import Listeners
from reactor.logs.stores import Stores
from reactor.ports.clock import Clock
from reactor.ports.stores import Log
from reactor.ports.tracing import Tracing
from reactor.registry import Registry
from reactor.runs.host import HostSettings, Workers
from reactor.trace_context import TraceContext, check_traceparent


class Common:
    """Workflows, tools and limits by name; the log, the clock, the settings; and the workers, while there are any."""

    def __init__(
        self, log: Log, registry: Registry, stores: Stores, clock: Clock, listeners: Listeners, settings: HostSettings
    ) -> None:
        self.log = log
        self.registry = registry
        self.stores = stores
        self.clock = clock
        self.listeners = listeners
        self.settings = settings
        self.digest_key = b""
        """Of the log, for digests of what must not stand in it."""
        self.after_crash = False
        """The engine that had the log before may have been killed."""
        self.workers: Workers | None = None
        """None before the engine is entered."""
        self.is_draining = False
        self.tracing: Tracing | None = None
        """What makes spans; known once the engine is entered."""

    def trace_of(self, traceparent: str | TraceContext | None) -> TraceContext | None:
        """Where in a trace a run belongs that is started now. Raises ValueError for what is not text."""
        given = check_traceparent(traceparent)
        return given if self.tracing is None else self.tracing.current(given)

    def check_open(self) -> None:
        """For a new run; raises EngineClosed before the engine is entered, and once it drains, and LogUnavailable
        while the log says that it cannot be used."""
        if self.workers is None:
            raise EngineClosed("enter the engine first: async with Engine(...)")
        if self.is_draining:
            raise EngineClosed("the engine is closed, or closing; make a new one: async with Engine(...)")
        self.stores.health.check()
