"""``cache=``: the key under which an output is kept."""

from __future__ import annotations

import hashlib

import orjson
from pydantic_core import to_json

from reactor.definition.policy import Cache
from reactor.tasks.arguments import bind
from reactor.tasks.condition import call_on_loop
from reactor.tasks.scope import Body


def cache_digest(body: Body, cache: Cache) -> str:
    """A digest of what the output depends on. Raises TypeError where that is not JSON."""
    if cache.key is None:
        basis = bind(body, body.node.parameters)
    else:
        basis = call_on_loop(body, cache.key, body.node.cache_key, "cache key")
    try:
        # NaN and the infinities by their names: as null they would all be one key
        plain = orjson.loads(to_json(basis, inf_nan_mode="strings"))
        return hashlib.sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).hexdigest()
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"the cache key of task {body.task_id} is not JSON: {error}; give cache=Cache(key=...)"
        ) from error
