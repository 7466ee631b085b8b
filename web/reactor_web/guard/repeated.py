"""The ``Idempotency-Key``s of each tenant."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from reactor.tenants.tenant import Tenant
from reactor_web.guard.seen import Seen
from reactor_web.http.idempotency import Repeats

_repeats: WeakKeyDictionary[Tenant, Repeats] = WeakKeyDictionary()


def repeats_of(seen: Seen) -> Repeats:
    """The ``Idempotency-Key``s of a tenant, the same ones for all routes."""
    repeats = _repeats.get(seen.tenant)
    if repeats is None:
        repeats = _repeats[seen.tenant] = Repeats(seen.answers)
    return repeats
