"""``cache=``: the key under which an output is kept."""

from __future__ import annotations

from reactor.definition.policy import Cache
from reactor.tasks.arguments import bind
from reactor.tasks.condition import call_on_loop
from reactor.tasks.scope import Body


def cache_digest(body: Body, cache: Cache) -> str | None:
    """A digest of what the output depends on: what the body is given, secrets too, or what ``cache.key`` returns.

    None where that cannot be told from other values: then the output is not cached.
    """
    if cache.key is None:
        basis = bind(body, body.node.parameters)
    else:
        basis = call_on_loop(body, cache.key, body.node.cache_key, "cache key")
    return body.scope.cache.digest(body.node, basis)
