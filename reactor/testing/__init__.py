"""For tests of your own: the laws of each port, and logs, bodies and time that do as a test wants.

- ``LOG_LAWS`` and ``EXECUTOR_LAWS``: what an ``EventLog`` and an ``Executor`` of yours must keep (modules ``log_laws``
  and ``executor_laws``).
- ``SlowLog`` and ``FaultyLog``: logs that are late, refuse or hang, around one that does not; ``LogAround`` is the base
  for others.
- ``read_all``: every event of a run. ``check_event``: whether an event is what the vocabulary says.
- ``RecordedVoice``, ``Submitted`` and ``work_for``: one body in an executor, without an engine.
- ``VirtualLoop``: timers that run when the test says so.

@pytest.mark.parametrize("law", LOG_LAWS)
async def test_the_log_keeps_the_law(law):
    await law(MyLog())

@pytest.mark.parametrize("law", EXECUTOR_LAWS)
async def test_the_executor_keeps_the_law(law):
    await law(MyExecutor(), executor_laws.DEF)  # or executor_laws.ASYNC
"""

from reactor.testing.attempts import RecordedVoice, Submitted, work_for
from reactor.testing.event_check import check_event
from reactor.testing.executor_laws import LAWS as EXECUTOR_LAWS
from reactor.testing.faulty_logs import FaultyLog, LogAround, SlowLog
from reactor.testing.log_laws import LAWS as LOG_LAWS
from reactor.testing.reading import read_all
from reactor.testing.virtual import VirtualLoop

__all__ = [
    "EXECUTOR_LAWS",
    "LOG_LAWS",
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
