"""What a subscriber composes its stream from, one operator a file.

    events of a run -> guarded -> unwindow -> select -> throttle_latest -> encode -> heartbeat -> client

``merge_tasks`` is where the events of all tasks come together, ``to_state`` folds them. Everything that waits for
time takes a scheduler, because the default of the library is an operating system thread for each timer.
"""

from reactor.operators.encode import encode
from reactor.operators.guarded import guarded
from reactor.operators.heartbeat import heartbeat
from reactor.operators.merge_tasks import merge_tasks
from reactor.operators.select import InvalidPattern, matcher, select
from reactor.operators.throttle_latest import Flush, event_flushes, event_key, throttle_latest
from reactor.operators.to_state import to_state
from reactor.operators.unwindow import unwindow

__all__ = [
    "Flush",
    "InvalidPattern",
    "encode",
    "event_flushes",
    "event_key",
    "guarded",
    "heartbeat",
    "matcher",
    "merge_tasks",
    "select",
    "throttle_latest",
    "to_state",
    "unwindow",
]
