"""``only_looks``: a middleware that need not see the end of a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

MARK: Final = "reactor_only_looks"

M = TypeVar("M", bound=Callable[..., Any])


def only_looks(middleware: M) -> M:
    """Says of a middleware that it only looks at requests, so that a stream need not wait for it.

        @only_looks
        @web.middleware
        async def count(request, handler):
            requests[request.path] += 1
            return await handler(request)

    A stream under any other middleware keeps its handler, which costs 17 KB a client instead of 3. Under these alone
    the handler returns as soon as the client has caught up, and the stream goes on: what stands behind
    ``await handler(request)`` runs then, not at the end of the stream. A ``StreamListener`` of the engine is told of
    both ends of each stream.

    Raises TypeError for what cannot be marked, such as a method.
    """
    try:
        setattr(middleware, MARK, True)
    except AttributeError:
        raise TypeError(f"only_looks() takes a function, not {middleware!r}") from None
    return middleware


def must_see_the_end(middleware: object) -> bool:
    """Whether a stream under this middleware keeps its handler."""
    return not getattr(middleware, MARK, False)
