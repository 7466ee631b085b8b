"""For tests of your own: law suites for adapters, and logs, bodies and time that do as a test wants.

log_laws         LOG_LAWS: what an ``EventLog`` of yours must keep
index_laws       INDEX_LAWS: the same for a ``RunIndex``
listing_laws     those of them that are about its filters
store_laws       OUTPUT_LAWS, CHECKPOINT_LAWS, IDEMPOTENCY_LAWS, ORDER_LAWS, WHOLE_LAWS, STOP_LAWS, DIGEST_KEY_LAWS
runs_laws        RUNS_LAWS: what a log keeps that finds the windows of some runs
schedule_laws    SCHEDULE_LAWS: what a ``ScheduleStore`` of yours must keep
sharing_laws     LEASE_LAWS, SLOT_LAWS, START_LAWS: what processes share
shared_laws      SHARED_LAWS, LIVE_LAWS: what a log keeps that several processes write to
key_laws         KEY_LAWS: what a ``KeyStore`` of yours must keep
access_laws      TICKET_LAWS, CAP_LAWS, REVOCATION_LAWS: who may ask, and how much
executor_laws    EXECUTOR_LAWS: what an ``Executor`` of yours must keep
executor_bodies  DEF and ASYNC, the bodies that those laws run; they are in ``executor_laws`` too
faulty_logs      SlowLog, FaultyLog: late, refusing or hanging, around a log that is not; LogAround: the base for others
histories        check_histories: whether what clients of a shared log were told can be one log, over any crashes
reading          read_all: every event of a run
event_check      check_event: whether an event is what the vocabulary says
attempts         RecordedVoice, Submitted, work_for: one body in an executor, without an engine
virtual          VirtualLoop: timers that run when the test says so
virtual_clock    VirtualClock: the time of an engine, in which hours take milliseconds
virtual_engine   virtual_engine: an engine in that time

Example:

    import pytest

    from reactor.testing import EXECUTOR_LAWS, LOG_LAWS, executor_laws

    @pytest.mark.parametrize("law", LOG_LAWS)
    async def test_the_log_keeps_the_law(law):
        await law(MyLog())

    @pytest.mark.parametrize("law", EXECUTOR_LAWS)
    async def test_the_executor_keeps_the_law(law):
        await law(MyExecutor(), executor_laws.DEF)  # or executor_laws.ASYNC
"""

from reactor.moved import attributes_from
from reactor.testing.access_laws import CAP_LAWS, REVOCATION_LAWS, TICKET_LAWS
from reactor.testing.attempts import RecordedVoice, Submitted, work_for
from reactor.testing.event_check import check_event
from reactor.testing.executor_laws import LAWS as EXECUTOR_LAWS
from reactor.testing.faulty_logs import FaultyLog, LogAround, SlowLog
from reactor.testing.histories import NODE, Asked, Began, History, Seen, Shown, check_histories
from reactor.testing.index_laws import LAWS as INDEX_LAWS
from reactor.testing.key_laws import KEY_LAWS
from reactor.testing.log_laws import LAWS as LOG_LAWS
from reactor.testing.reading import read_all
from reactor.testing.runs_laws import RUNS_LAWS
from reactor.testing.schedule_laws import SCHEDULE_LAWS
from reactor.testing.shared_laws import LIVE_LAWS, SHARED_LAWS
from reactor.testing.sharing_laws import LEASE_LAWS, SLOT_LAWS, START_LAWS
from reactor.testing.store_laws import (
    CHECKPOINT_LAWS,
    DIGEST_KEY_LAWS,
    IDEMPOTENCY_LAWS,
    ORDER_LAWS,
    OUTPUT_LAWS,
    STOP_LAWS,
    WHOLE_LAWS,
)
from reactor.testing.virtual import VirtualLoop
from reactor.testing.virtual_clock import VirtualClock
from reactor.testing.virtual_engine import virtual_engine

__all__ = [
    "CAP_LAWS",
    "CHECKPOINT_LAWS",
    "DIGEST_KEY_LAWS",
    "EXECUTOR_LAWS",
    "IDEMPOTENCY_LAWS",
    "INDEX_LAWS",
    "KEY_LAWS",
    "LEASE_LAWS",
    "LIVE_LAWS",
    "LOG_LAWS",
    "NODE",
    "ORDER_LAWS",
    "OUTPUT_LAWS",
    "REVOCATION_LAWS",
    "RUNS_LAWS",
    "SCHEDULE_LAWS",
    "SHARED_LAWS",
    "SLOT_LAWS",
    "START_LAWS",
    "STOP_LAWS",
    "TICKET_LAWS",
    "WHOLE_LAWS",
    "Asked",
    "Began",
    "FaultyLog",
    "History",
    "LogAround",
    "RecordedVoice",
    "Seen",
    "Shown",
    "SlowLog",
    "Submitted",
    "VirtualClock",
    "VirtualLoop",
    "check_event",
    "check_histories",
    "read_all",
    "virtual_engine",
    "work_for",
]

__getattr__ = attributes_from(__name__, {"LAWS": "reactor.testing:LOG_LAWS"})
