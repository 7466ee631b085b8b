"""What starts and ends with an engine: schedules, exporters, connections of your own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from inspect import iscoroutinefunction
from typing import Any, Protocol

from reactor.bounds import SERVICE_STOP_SECONDS
from reactor.clock import patiently
from reactor.logger import get_logger

logger = get_logger()


class Service(Protocol):
    """Give it to an engine: ``Engine(services=[nightly])``."""

    async def start(self, engine: Any) -> None:
        """Called inside of ``async with Engine(...)``, after unfinished runs were recovered. The engine takes runs.

        Must return: what goes on in the background is a task the service holds. An error ends the engine's start.
        """
        ...

    async def stop(self) -> None:
        """Called first when the engine drains: it takes no new runs, and open ones still run. Only after ``start``."""
        ...


def _check(service: Any) -> None:
    name = service.__name__ if isinstance(service, type) else type(service).__name__
    if isinstance(service, type):
        raise TypeError(f"{name} is a class; a service is an object: {name}()")
    for method in ("start", "stop"):
        if not iscoroutinefunction(getattr(service, method, None)):
            raise TypeError(f"the service {name} needs a method: async def {method}")


class Services:
    """The services of one engine. They start in order and stop in the reverse order."""

    def __init__(self, services: Iterable[Service]) -> None:
        """Raises TypeError for what is not a service."""
        if not isinstance(services, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
            raise TypeError(f"services is a list of services, not {type(services).__name__}")
        self._services = tuple(services)
        for service in self._services:
            _check(service)
        self._started: list[Service] = []

    async def start(self, engine: Any) -> None:
        """Starts all. Raises what a service raises; those that have started are stopped by ``stop``."""
        for service in self._services:
            await service.start(engine)
            self._started.append(service)

    async def stop(self) -> None:
        """Stops those that have started. One that fails, or takes too long, is logged; the others stop all the same."""
        while self._started:
            service = self._started.pop()
            try:
                with patiently(SERVICE_STOP_SECONDS):
                    await service.stop()
            except (Exception, asyncio.CancelledError) as error:
                current = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and current is not None and current.cancelling():
                    raise  # whoever drains the engine is cancelled, not the service
                logger.error("a service did not stop", service=type(service).__name__, exc_info=error)
