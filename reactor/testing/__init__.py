"""For tests of your own: law suites for adapters, and logs, bodies and time that do as a test wants.

- ``LOG_LAWS``, ``INDEX_LAWS``, ``OUTPUT_LAWS``, ``CHECKPOINT_LAWS``, ``IDEMPOTENCY_LAWS``, ``STOP_LAWS``: what a log of
  yours must keep, as far as it implements the ports (modules ``log_laws``, ``index_laws`` and ``store_laws``).
- ``EXECUTOR_LAWS``: what an ``Executor`` of yours must keep (module ``executor_laws``).
- ``SlowLog`` and ``FaultyLog``: logs that are late, refuse or hang, around one that does not; ``LogAround`` is the base
  for others.
- ``read_all``: every event of a run. ``check_event``: whether an event is what the vocabulary says.
- ``RecordedVoice``, ``Submitted`` and ``work_for``: one body in an executor, without an engine.
- ``VirtualLoop``: timers that run when the test says so.

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
from reactor.testing.attempts import RecordedVoice, Submitted, work_for
from reactor.testing.event_check import check_event
from reactor.testing.executor_laws import LAWS as EXECUTOR_LAWS
from reactor.testing.faulty_logs import FaultyLog, LogAround, SlowLog
from reactor.testing.index_laws import LAWS as INDEX_LAWS
from reactor.testing.log_laws import LAWS as LOG_LAWS
from reactor.testing.reading import read_all
from reactor.testing.store_laws import CHECKPOINT_LAWS, IDEMPOTENCY_LAWS, OUTPUT_LAWS, STOP_LAWS
from reactor.testing.virtual import VirtualLoop

__all__ = [
    "CHECKPOINT_LAWS",
    "EXECUTOR_LAWS",
    "IDEMPOTENCY_LAWS",
    "INDEX_LAWS",
    "LOG_LAWS",
    "OUTPUT_LAWS",
    "STOP_LAWS",
    "FaultyLog",
    "LogAround",
    "RecordedVoice",
    "SlowLog",
    "Submitted",
    "VirtualLoop",
    "check_event",
    "read_all",
    "work_for",
]

__getattr__ = attributes_from(__name__, {"LAWS": "reactor.testing:LOG_LAWS"})
