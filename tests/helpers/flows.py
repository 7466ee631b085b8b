"""Workflows of one task, for tests that need a body of a kind and nothing around it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from reactor import Workflow


def one_task(body: Callable[..., Any], name: str = "one", **options: Any) -> Workflow:
    """A workflow whose only task ``body`` runs this function."""
    flow = Workflow(name)
    flow.task(body, name="body", **options)
    return flow


def endless() -> Workflow:
    """Its body waits for ever on the loop, and stops when it is cancelled."""

    async def wait() -> None:
        await asyncio.Event().wait()

    return one_task(wait, "endless")


def deaf(gate: threading.Event) -> Workflow:
    """Its body is held in a thread by the gate, and hears no cancel."""

    def wait() -> None:
        gate.wait()

    return one_task(wait, "deaf")
