"""``cache=``: the outputs that runs of a workflow keep for each other in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from reactor.definition.binding import adapter_for
from reactor.definition.graph import Graph, Node
from reactor.events.exact import NoExactForm, keyed_digest
from reactor.events.restoring import restore_output
from reactor.events.timing import unix_seconds
from reactor.logger import get_logger
from reactor.ports.clock import Clock
from reactor.ports.outputs import OutputStore
from reactor.tasks.outputs import Output

logger = get_logger()


class OutputCache:
    """Outputs by workflow, version, task and a digest of what they depend on. Loop thread only."""

    def __init__(
        self, store: OutputStore, clock: Clock, graph: Graph, loop: asyncio.AbstractEventLoop, digest_key: bytes
    ) -> None:
        self._store = store
        self._clock = clock
        self._graph = graph
        self._loop = loop
        self._digest_key = digest_key
        self._recalling: set[asyncio.Task[None]] = set()
        """Strong references: the loop itself keeps only weak ones."""

    def digest(self, node: Node, basis: Any) -> str | None:
        """A digest of what an output depends on; None, with a warning, where that cannot be told from other values."""
        try:
            return keyed_digest(self._digest_key, basis)
        except NoExactForm as error:
            why = f"{error}; give cache=Cache(key=...)"
            logger.warning("cache not used", workflow=self._graph.name, task=node.name, error=why)
            return None

    def recall(self, node: Node, digest: str, found: Callable[[Output | None], None]) -> None:
        """Looks for an output, and calls ``found`` with it later. A store that does not answer has none."""

        async def look_up() -> None:
            found(await self._read(node, digest))

        task = self._loop.create_task(look_up())
        self._recalling.add(task)
        task.add_done_callback(self._recalling.discard)

    async def _read(self, node: Node, digest: str) -> Output | None:
        try:
            stored = await self._store.recall(self._key(node, digest), self._now())
            return None if stored is None else _unpack(node, stored)
        except Exception as error:  # the store's, or a user's validator's: the body runs as if there were no cache
            logger.warning("cache not read", workflow=self._graph.name, task=node.name, error=str(error))
            return None

    def remember(self, node: Node, digest: str, output: Output) -> None:
        """Keeps an output. Where the store cannot, a warning is logged and the task completes all the same."""
        ttl = None if node.task.cache is None else node.task.cache.ttl
        until = float("inf") if ttl is None else self._now() + ttl
        try:
            kept = self._store.remember(self._key(node, digest), _pack(output), until)
        except Exception as error:
            self._warn_not_written(node, error)
        else:
            kept.add_done_callback(lambda kept: kept.cancelled() or self._warn_not_written(node, kept.exception()))

    def _warn_not_written(self, node: Node, error: BaseException | None) -> None:
        if error is not None:
            logger.warning("cache not written", workflow=self._graph.name, task=node.name, error=str(error))

    def _key(self, node: Node, digest: str) -> str:
        return f"{self._graph.name}/{self._graph.version}/{node.name}/{digest}"

    def _now(self) -> float:
        return unix_seconds(self._clock.now().decode())


def _pack(output: Output) -> bytes:
    """An output as it is stored: 1 or 0 for ``typed``, then its JSON; 2 where hints and a line end come before it."""
    if output.hints is not None:
        return b"2%b\n%b" % (orjson.dumps(output.hints), output.json)
    return (b"1" if output.typed else b"0") + output.json


def _unpack(node: Node, stored: bytes) -> Output:
    """Raises pydantic's ValueError where the return annotation no longer accepts the value."""
    form, json, hints = stored[:1], stored[1:], None
    if form == b"2":
        before, _, json = json.partition(b"\n")
        hints = orjson.loads(before)
    returns = adapter_for(node.returns) if form != b"0" else None
    return Output(restore_output(json, returns, hints), json, form != b"0", hints)
