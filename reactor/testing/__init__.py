"""For tests of your own: event logs that are slow or fail, and the laws an ``EventLog`` adapter must pass.

@pytest.mark.parametrize("law", LAWS)
async def test_the_log_keeps_the_law(law):
    await law(MyLog())
"""

from reactor.testing.faulty_logs import FaultyLog, SlowLog
from reactor.testing.log_laws import LAWS
from reactor.testing.reading import read_all

__all__ = ["LAWS", "FaultyLog", "SlowLog", "read_all"]
