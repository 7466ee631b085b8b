"""``cache=``: under what an output is kept in the store, and how."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import orjson
from pydantic_core import to_json

from reactor.arguments import bind
from reactor.binding import adapter_for
from reactor.condition import asked
from reactor.graph import Graph, Node
from reactor.past import Output
from reactor.policy import Cache
from reactor.values import restore_output

if TYPE_CHECKING:
    from reactor.body import TaskActor


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


def cache_key(graph: Graph, node: Node, digest: str) -> str:
    """The key in the store: outputs are shared by all runs of a workflow, version and task."""
    return f"{graph.name}/{graph.version}/{node.name}/{digest}"


def packed(output: Output) -> bytes:
    """As it is stored: whether the annotation restores it, and its JSON."""
    return (b"1" if output.typed else b"0") + output.json


def unpacked(node: Node, stored: bytes) -> Output:
    """Raises ValueError (pydantic's) where the annotation does not take it any more."""
    typed = stored[:1] == b"1"
    return Output(restore_output(stored[1:], adapter_for(node.returns) if typed else None), stored[1:], typed)
