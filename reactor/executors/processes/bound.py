"""A worker ends with its engine, whatever its body does at that time.

The thread that reads the pipe sees that the engine has gone, but cannot act while a body holds the interpreter: in a
regular expression, in a call of C. Then the body would run on beside the engine that comes next.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def end_with(engine: int) -> None:
    """Has the kernel kill this process when its engine ends, or ends it at once where the engine has gone already.

    On Linux. The signal is sent when the *thread* ends that has started this process: that is the one which waits for
    its exit (``SpawnedWorker._live``). To be called before any body is read.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"a worker cannot be bound to its engine: {os.strerror(number)}")
    if os.getppid() != engine:  # it went before the kernel knew what to do then
        os._exit(0)
