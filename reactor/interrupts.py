"""Whether an exception means the process: Ctrl-C, or what the handler of a signal raises."""

from __future__ import annotations

import signal
import threading
from types import CodeType, TracebackType


def is_from_signal(error: BaseException) -> bool:
    """Whether a signal has raised this, in the middle of the code of a user, and not that code itself.

    Only then does it leave the event loop. A KeyboardInterrupt or SystemExit that a body raises is its failure. Where
    Python's own handler of SIGINT is in place, nobody can tell: then a KeyboardInterrupt is the user's Ctrl-C.
    """
    if not isinstance(error, (KeyboardInterrupt, SystemExit)):
        return False
    if threading.current_thread() is not threading.main_thread():
        return False  # signals are handled in the main thread
    if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return True
    return _went_through_a_handler(error.__traceback__)


def _went_through_a_handler(trace: TracebackType | None) -> bool:
    """Whether one of the frames is a handler of a signal: it ran in the middle of another frame, and has raised."""
    codes = _handlers()
    while trace is not None:
        if trace.tb_frame.f_code in codes:
            return True
        trace = trace.tb_next
    return False


def _handlers() -> set[CodeType]:
    codes = set[CodeType]()
    for number in signal.valid_signals():
        handler: object = signal.getsignal(number)
        handler = getattr(handler, "func", handler)  # of asyncio.run it is a partial of a method
        code = getattr(handler, "__code__", None)
        if isinstance(code, CodeType):
            codes.add(code)
    return codes
