"""``CLOUDEVENTS``: each message as a CloudEvent 1.0 in its JSON format, for consumers that know no run but know those.

    id: 7
    event: reactor.task.completed
    data: {"specversion":"1.0","id":"run-1/7","source":"/runs/run-1","type":"reactor.task.completed","subject":"draft",
           "time":"2026-11-21T12:00:00.000001Z","datacontenttype":"application/json","sequence":"000000000000000007",
           "partitionkey":"run-1","attempt":1,"data":{"output":"Dear",…}}

There is no binding of CloudEvents to server-sent events; the frame is ours, its data is theirs. ``batch_body`` makes
the JSON batch of pages. Sources: the CloudEvents specification 1.0.2, its JSON event format (sections 3 and 4), and
its extensions ``sequence``, ``partitioning`` and ``distributed tracing``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import orjson

from reactor.events.event import Event, Message, Notice
from reactor.events.one_line import one_line
from reactor_web.dialects.base import DialectInfo, End, Opening
from reactor_web.dialects.framing import encode
from reactor_web.sse.frames import HEARTBEAT

EVENT_MEDIA_TYPE: Final = "application/cloudevents+json"
BATCH_MEDIA_TYPE: Final = "application/cloudevents-batch+json"

_PREFIX: Final = "reactor."


class CloudEvents:
    """``base``: what stands before ``/runs/<run_id>`` in ``source``.

    Without it ``source`` is relative: the same bytes wherever the server is reached. For consumers that gather the
    events of several servers, register one more:
    ``register(CloudEvents("https://example.org/api/v1", name="cloudevents-public"))``.
    """

    __slots__ = ("_base", "info")

    def __init__(self, base: str = "", *, name: str = "cloudevents") -> None:
        self.info = DialectInfo(name)
        self._base = base.rstrip("/")

    @staticmethod
    def begin(started: Event | None, mode: Opening) -> tuple[None, bytes]:
        """No state, and nothing before the first event."""
        return None, b""

    def step(self, state: None, event: Event) -> bytes:
        """The frame of an event, with its seq as id."""
        return encode(_json(self.of(event)), event=_PREFIX + event.type, id=event.seq)

    def notice(self, state: None, notice: Notice, id: int | None = None) -> bytes:
        """The frame of a message that is in no log, such as ``reactor.stream.gap``."""
        return encode(_json(self.of(notice)), event=_PREFIX + notice.type, id=id)

    @staticmethod
    def heartbeat(state: None, n: int, time: str) -> bytes:
        """A comment, which no client reports as an event."""
        return HEARTBEAT

    def end(self, state: None, why: End) -> bytes:
        """``reactor.stream.end`` or ``reactor.stream.closing``."""
        return self.notice(None, why.notice, why.id)

    def of(self, message: Message) -> dict[str, Any]:
        """The CloudEvent of a message. ``id`` and ``source`` together are no other's."""
        is_event = isinstance(message, Event)
        data: Any = message.body["data"] if is_event else message.data
        part = f"{message.seq}" if is_event else f"{message.type}/{message.time}"
        if not is_event and "part" in data:
            part += f"/{data['part']}"
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": f"{message.run_id}/{part}",
            "source": f"{self._base}/runs/{message.run_id}",
            "type": _PREFIX + message.type,
            "subject": message.task_id,
            "time": message.time,
            "datacontenttype": "application/json",
            "sequence": f"{message.seq:018}" if is_event else None,
            "partitionkey": message.run_id,
            "attempt": message.attempt,
            "traceparent": _traceparent(message, data),
            "data": data,
        }
        # an attribute is there with a value or not at all
        return {name: value for name, value in event.items() if value is not None or name == "data"}

    def batch_body(self, messages: Iterable[Message]) -> bytes:
        """The body of ``application/cloudevents-batch+json``: a JSON array of these messages, which may be empty."""
        return _json([self.of(message) for message in messages])


def _traceparent(message: Message, data: Any) -> str | None:
    """The trace context of an event that has one; the start of a run has that of whoever started it."""
    found = data.get("traceparent") if message.type == "run.started" else None
    return found if isinstance(found, str) else None


def _json(value: Any) -> bytes:
    return one_line(orjson.dumps(value))


CLOUDEVENTS: Final = CloudEvents()
