"""Threads of AG-UI: which runs they are.

A thread is a run. Its id is that of the thread, or made of it where that cannot be the id of a run. A conversation goes
on after the end of its run: the next message starts the next run of the thread, ``<id>~2``, then ``<id>~3``.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from reactor.bounds import RUN_ID
from reactor.errors import UnknownRun
from reactor.runs.run import Run
from reactor_web.guard.seen import Seen

_MAX_CHARS: Final = 56
"""A run id has at most 64, and its number in the thread needs some of them."""
_NUMBER: Final = "~"


class Place(NamedTuple):
    """Where a thread is."""

    run: Run | None
    """Its newest run, if it has one."""
    next_id: str
    """The id of the run that comes next."""


def first_id(thread_id: str) -> str:
    """The id of the first run of a thread. A thread ``a~2`` is not the second run of the thread ``a``."""
    if len(thread_id) <= _MAX_CHARS and RUN_ID.fullmatch(thread_id) and _NUMBER not in thread_id:
        return thread_id
    return f"thread-{hashlib.blake2b(thread_id.encode(), digest_size=16).hexdigest()}"


async def find(engine: Seen, thread_id: str) -> Place:
    """The newest run of a thread. It is looked for from the one that was remembered last."""
    first = first_id(thread_id)
    kept = await engine.answers.answer(_key(first))
    number = 1 if kept is None else int(kept)
    run = await _get(engine, _id(first, number))
    newest = number if run is not None or kept is not None else 0
    while (later := await _get(engine, _id(first, newest + 1)) if newest else None) is not None:
        run, newest = later, newest + 1
    return Place(run, _id(first, newest + 1))


async def remember(engine: Seen, thread_id: str, run_id: str) -> None:
    """This run of the thread is its newest one. Without it the search begins with an older one, and finds it too."""
    first = first_id(thread_id)
    number = run_id.removeprefix(f"{first}{_NUMBER}") if run_id != first else "1"
    await engine.answers.keep_answer(_key(first), number.encode())


def _id(first: str, number: int) -> str:
    return first if number <= 1 else f"{first}{_NUMBER}{number}"


def _key(first: str) -> str:
    return f"\nag-ui {first}"  # no ``Idempotency-Key`` can be this, because no header has a line end


async def _get(engine: Seen, run_id: str) -> Run | None:
    try:
        return await engine.get(run_id)
    except UnknownRun:
        return None
