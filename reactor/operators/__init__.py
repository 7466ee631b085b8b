"""Operators for the event stream of a run, one operator a file.

    in process:  windows -> views -> guarded -> yours
    over HTTP:   windows -> unwindow -> select -> throttle_latest -> encode -> heartbeat

guarded           detaches a subscriber that raises, or that holds the loop
unwindow          the items of each window, one by one
select            only these types, only these tasks
throttle_latest   of values that supersede each other, the latest a period
encode            each item as bytes, once for all clients
heartbeat         a beat after a silence
to_state          the state of the run after each event
buffer_window     the backpressure of a run: one window fills while the last one is committed
attached          no operator: what the operators have in common
timed             no operator: what those that wait for time have in common

``views`` stands in ``reactor.stream``. Every operator that waits for time takes a scheduler, because the default of
reactivex is a new operating system thread for each timer.
"""

from reactor.moved import attributes_from
from reactor.operators.buffer_window import Room, buffer_window
from reactor.operators.encode import encode
from reactor.operators.guarded import guarded
from reactor.operators.heartbeat import heartbeat
from reactor.operators.select import InvalidPattern, matcher, select
from reactor.operators.throttle_latest import Flush, event_flushes, event_key, throttle_latest
from reactor.operators.to_state import to_state
from reactor.operators.unwindow import unwindow

__all__ = [
    "Flush",
    "InvalidPattern",
    "Room",
    "buffer_window",
    "encode",
    "event_flushes",
    "event_key",
    "guarded",
    "heartbeat",
    "matcher",
    "select",
    "throttle_latest",
    "to_state",
    "unwindow",
]

__getattr__ = attributes_from(__name__, {"merge_tasks": "reactor.stream.merge_tasks"})
