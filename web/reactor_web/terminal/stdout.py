"""Keeps stdout for what was asked for: what bodies and imported files print goes to stderr."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def take_stdout() -> TextIO:
    """Takes stdout away from everybody else in this process, and from the processes it starts; returns it.

    The descriptor itself is moved, because a print in a worker process or the output of a program that a body starts
    would go past ``sys.stdout``.
    """
    ours = sys.stdout
    ours.flush()
    try:
        kept = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # one of them is closed: nothing can get there
        return ours
    sys.stdout = sys.stderr
    return os.fdopen(kept, "w", encoding=ours.encoding, errors=ours.errors)
