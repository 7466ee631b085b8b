"""What a view or any other Observable may give to a stream, and the frame of each.

an Event or a Notice     its frame in the dialect of the stream
(id, name, data)         a frame with this event name and ``data`` as JSON. ``id`` is an int; None: no ``id:`` line
bytes                    frames that are encoded already, each with the blank line that ends it
anything else            as JSON in a frame without a name and an id, which a browser gets as ``message``
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias, TypeGuard, cast

from reactor.events.event import Event, Message, Notice
from reactor.events.shown import dumps
from reactor_web.dialects import Dialect
from reactor_web.dialects.framing import encode

Named: TypeAlias = tuple[int | None, str, Any]


class Made(NamedTuple):
    """The frames of one item, and what filters and a throttle must know of it."""

    message: Message | None
    """The item, if it is a message of a run."""
    id: int | None
    type: str
    frames: bytes

    @property
    def task_id(self) -> str | None:
        return None if self.message is None else self.message.task_id


def make(item: object, dialect: Dialect, state: Any) -> Made:
    """The frames of an item. Raises TypeError for data that is not JSON, ValueError for a name with a line end."""
    if isinstance(item, Event):
        return Made(item, item.seq, item.type, dialect.step(state, item))
    if isinstance(item, Notice):
        return Made(item, None, item.type, dialect.notice(state, item))
    if isinstance(item, bytes):
        return Made(None, None, "message", item)
    if _is_named(item):
        id, name, data = item
        return Made(None, id, name, encode(dumps(data), event=name, id=id))
    return Made(None, None, "message", encode(dumps(item)))


def _is_named(item: object) -> TypeGuard[Named]:
    if not isinstance(item, tuple) or len(cast("tuple[Any, ...]", item)) != 3:
        return False
    id, name, _ = cast("tuple[Any, ...]", item)
    return isinstance(name, str) and (id is None or (isinstance(id, int) and not isinstance(id, bool)))
