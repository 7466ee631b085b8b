"""``cache=``: the key under which an output is kept."""

from __future__ import annotations

from typing import Any

from reactor.definition.binding import CONTEXT
from reactor.definition.policy import Cache
from reactor.tasks.arguments import bind
from reactor.tasks.attempts import attempt_of
from reactor.tasks.condition import call_on_loop
from reactor.tasks.scope import Body


def cache_digest(body: Body, cache: Cache) -> str | None:
    """A digest of what the output depends on: what the body is given, secrets too, or what ``cache.key`` returns.

    None where that cannot be told from other values: then the output is not cached.
    """
    if cache.key is None:
        basis = _all_it_is_given(body)
    else:
        basis = call_on_loop(body, cache.key, body.node.cache_key, "cache key")
    return body.scope.cache.digest(body.node, basis)


def _all_it_is_given(body: Body) -> Any:
    """Its arguments; with a Context also what that shows of the run, but not which run, task and attempt it is."""
    arguments = bind(body, body.node.parameters)
    if not any(parameter.kind == CONTEXT for parameter in body.node.parameters):
        return arguments
    attempt = attempt_of(body)
    return [arguments, attempt.input, attempt.meta, attempt.upstreams]
