"""``cache=``: under what an output is kept in the store, and how."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import orjson
import structlog
from pydantic_core import to_json

from reactor.definition.binding import adapter_for
from reactor.definition.graph import Graph, Node
from reactor.definition.policy import Cache
from reactor.events.timing import unix_seconds
from reactor.events.values import restore_output
from reactor.ports.clock import Clock
from reactor.ports.log import EventLog
from reactor.tasks.arguments import bind
from reactor.tasks.condition import asked
from reactor.tasks.past import Output

if TYPE_CHECKING:
    from reactor.tasks.body import TaskActor

logger = structlog.get_logger("reactor")


def cache_digest(actor: TaskActor, cache: Cache) -> str:
    """Of what the output depends on; raises TypeError where that is no JSON."""
    if cache.key is None:
        basis = bind(actor, actor.node.parameters)
    else:
        basis = asked(actor, cache.key, actor.node.cache_key, "cache key")
    try:
        # NaN and the infinities by their names: as null they would all be one key
        plain = orjson.loads(to_json(basis, inf_nan_mode="strings"))
        return hashlib.sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).hexdigest()
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"the cache key of task {actor.task_id} is not JSON: {error}; give cache=Cache(key=...)"
        ) from error


class OutputCache:
    """The outputs that runs of a workflow, version and task have kept for each other in the store."""

    def __init__(self, log: EventLog, clock: Clock, graph: Graph) -> None:
        self._log = log
        self._clock = clock
        self._graph = graph

    async def recall(self, node: Node, digest: str) -> Output | None:
        """An output another run has kept; a store that does not answer has none."""
        try:
            stored = await self._log.recall(self._key(node, digest), self._now())
            return None if stored is None else _unpacked(node, stored)
        except Exception as error:  # of the store or of a user's validators: the body runs, as if there were no cache
            logger.warning("cache not read", workflow=self._graph.name, task=node.name, error=str(error))
            return None

    def remember(self, node: Node, digest: str, output: Output) -> None:
        """Keeps an output; where the store cannot, the task has completed all the same."""
        ttl = None if node.task.cache is None else node.task.cache.ttl
        until = float("inf") if ttl is None else self._now() + ttl
        try:
            kept = self._log.remember(self._key(node, digest), _packed(output), until)
        except Exception as error:
            self._not_written(node, error)
        else:
            kept.add_done_callback(lambda kept: kept.cancelled() or self._not_written(node, kept.exception()))

    def _not_written(self, node: Node, error: BaseException | None) -> None:
        if error is not None:
            logger.warning("cache not written", workflow=self._graph.name, task=node.name, error=str(error))

    def _key(self, node: Node, digest: str) -> str:
        return f"{self._graph.name}/{self._graph.version}/{node.name}/{digest}"

    def _now(self) -> float:
        return unix_seconds(self._clock.now().decode())


def _packed(output: Output) -> bytes:
    """As it is stored: whether the annotation restores it, and its JSON."""
    return (b"1" if output.typed else b"0") + output.json


def _unpacked(node: Node, stored: bytes) -> Output:
    """Raises ValueError (pydantic's) where the annotation does not take it any more."""
    typed = stored[:1] == b"1"
    return Output(restore_output(stored[1:], adapter_for(node.returns) if typed else None), stored[1:], typed)
