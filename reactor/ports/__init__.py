"""What the engine needs from the outside, as small Protocols.

log         EventLog: stores the windows of runs and reads them back; RunRecord
index       RunIndex: the list of runs, and deleting one; RunFilter; fits: for logs that look at every run
order       CommitOrder, WholeOrder, RunsOrder: the windows of a tree, of all runs, of some, in the order of commits
outputs     OutputStore: the outputs that ``cache=`` keeps
stores      Checkpoints, Idempotency, CleanStops, DigestKey; Lifecycle, KeepsTime, Probed, TellsTrouble, Announced; Log:
            what engines need
sharing     Lease, LiveFeed, Slots, Starts: what several processes share
handover    Handover, Inboxes: how runs come from one process to another, and commands to who executes a run
access      KeyStore, TicketStore, CapCounter, Revocations: who may ask, and how much; an engine uses none of them;
            SharesAccess: a log that has them, as AccessStores
measured    Measured, Expires: what a log says of itself in numbers; Kept
schedules   ScheduleStore: what starts when; ScheduleRecord
tracing     Tracing, RunTrace: what makes spans of runs, attempts and calls
clock       Clock: wall time, monotonic time and timers; Timer
executor    Executor: runs the body of a task; it takes Work, returns a Job, and calls Done
attempt     Attempt, Upstream: what a body can read of the attempt it runs in
speech      Voice, Line: what a body and its run tell each other

The adapters here are in ``logs/`` and ``executors/``. ``reactor.testing`` has the law suites an adapter must pass.
Give a log and a clock of your own to ``Engine``, an executor to ``register_kind``. ``attempt`` and ``speech`` are what
bodies and runs share.
"""

from reactor.ports.access import (
    AccessStores,
    CapCounter,
    KeyRecord,
    KeyStore,
    Revocations,
    SharesAccess,
    TicketRecord,
    TicketStore,
)
from reactor.ports.attempt import Attempt, Upstream
from reactor.ports.clock import Clock, Timer
from reactor.ports.executor import Done, Executor, Job, Work
from reactor.ports.handover import Handover, Inboxes
from reactor.ports.index import RunFilter, RunIndex, fits
from reactor.ports.log import EventLog, Rewinds, Rewound, RunRecord
from reactor.ports.measured import Expires, Kept, Measured
from reactor.ports.order import CommitOrder, Committed, PositionLost, Removed, RunsOrder, WholeOrder
from reactor.ports.outputs import OutputStore
from reactor.ports.schedules import ScheduleRecord, ScheduleStore
from reactor.ports.sharing import (
    Lease,
    LiveFeed,
    NamedRate,
    SharesLimits,
    Slots,
    SlotWaiter,
    Starts,
    StartWaiter,
    Stop,
)
from reactor.ports.speech import Line, Voice
from reactor.ports.stores import (
    Announced,
    Checkpoints,
    CleanStops,
    DigestKey,
    Idempotency,
    KeepsTime,
    Lifecycle,
    Log,
    Probed,
    TellsTrouble,
)

__all__ = [
    "AccessStores",
    "Announced",
    "Attempt",
    "CapCounter",
    "Checkpoints",
    "CleanStops",
    "Clock",
    "CommitOrder",
    "Committed",
    "DigestKey",
    "Done",
    "EventLog",
    "Executor",
    "Expires",
    "Handover",
    "Idempotency",
    "Inboxes",
    "Job",
    "KeepsTime",
    "Kept",
    "KeyRecord",
    "KeyStore",
    "Lease",
    "Lifecycle",
    "Line",
    "LiveFeed",
    "Log",
    "Measured",
    "NamedRate",
    "OutputStore",
    "PositionLost",
    "Probed",
    "Removed",
    "Revocations",
    "Rewinds",
    "Rewound",
    "RunFilter",
    "RunIndex",
    "RunRecord",
    "RunsOrder",
    "ScheduleRecord",
    "ScheduleStore",
    "SharesAccess",
    "SharesLimits",
    "SlotWaiter",
    "Slots",
    "StartWaiter",
    "Starts",
    "Stop",
    "TellsTrouble",
    "TicketRecord",
    "TicketStore",
    "Timer",
    "Upstream",
    "Voice",
    "WholeOrder",
    "Work",
    "fits",
]
