"""The stores of one log, which can be handed out before it is open."""

from __future__ import annotations

from collections.abc import Callable

from reactor.errors import LogUnavailable
from reactor.logs.redis.access.api_keys import RedisKeys
from reactor.logs.redis.access.caps import RedisCaps
from reactor.logs.redis.access.place import Parts, Place
from reactor.logs.redis.access.revocations import RedisRevocations
from reactor.logs.redis.access.tickets import RedisTickets
from reactor.logs.redis.calls import Calls
from reactor.logs.redis.lease import Incarnation
from reactor.ports.access import AccessStores


class Access:
    """``closed``: the error of who asks while the log is not open."""

    def __init__(self, closed: Callable[[], LogUnavailable]) -> None:
        self._place = place = Place(closed)
        self._tickets, self._caps = RedisTickets(place), RedisCaps(place)
        keys = RedisKeys(lambda: place.now().calls)
        self.stores = AccessStores(keys, self._tickets, self._caps, RedisRevocations(place))

    def opened(self, calls: Calls, incarnation: Incarnation) -> None:
        self._place.parts = Parts(calls, incarnation)
        incarnation.came_back = self._came_back

    def closed(self) -> None:
        """This node leaves: nothing is held here any more."""
        self._place.parts = None
        self._tickets.drop()
        self._caps.drop()

    def _came_back(self) -> None:
        if self._place.parts is not None:
            self._tickets.came_back(self._place.parts)
            self._caps.came_back(self._place.parts)
