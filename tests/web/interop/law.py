"""What holds of all that a client was sent, compared with the log of its run: each law raises AssertionError."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

from reactor import Event
from tests.helpers import agui, ai_sdk
from tests.web.interop.matrix import Law
from tests.web.interop.running import Outcome
from tests.web.interop.seen import Frame, Seen

ENDS: dict[Law, tuple[str, ...]] = {
    "named": ("stream.end", "204"),
    "unnamed": ("stream.end", "204"),
    "socket": ("1000", "204"),
    "message": ("finish stop",),
    "agent": ("RUN_FINISHED success",),
}
"""By what a client of each kind may have known that the run was over."""


WHOLE = "whole"


class Judges:
    """What the vendors' own code makes of a whole log, in one go."""

    def __init__(self, messages: dict[str, ai_sdk.Judge], agent: agui.Verifier) -> None:
        self.messages = messages
        """By the version of the AI SDK."""
        self.agent = agent


@contextmanager
def judging() -> Iterator[Judges]:
    """Judges who are ready."""
    with ai_sdk.Judge("ai") as six, ai_sdk.Judge("ai7") as seven, agui.Verifier() as agent:
        yield Judges({"ai": six, "ai7": seven}, agent)


def verdict(outcome: Outcome, judges: Judges) -> str:
    """``whole``, or what is not."""
    try:
        check(outcome, judges)
    except AssertionError as error:
        return f"not whole: {error}".splitlines()[0]
    return WHOLE


def check(outcome: Outcome, judges: Judges) -> None:
    """The whole law of one cell."""
    seen, log, law = outcome.seen, outcome.log, outcome.client.law
    assert log, "the run has no log"
    assert log[-1].type == "run.completed", f"the run has ended with {log[-1].json[:500]!r}"
    assert seen.error is None, f"{seen.error}; the last it showed: {str(seen.lines[-2:])[:500]}"
    assert seen.ended in ENDS[law], f"it ended by {seen.ended!r}"
    assert seen.lines[-1] == {"ended": seen.ended}, f"it showed something after its end: {str(seen.lines[-1])[:200]}"
    assert seen.opened >= 2, "it was not cut"
    if law in ("named", "unnamed", "socket"):
        _frames(law, seen, log)
    elif law == "agent":
        _agent(seen, log, judges)
    else:
        _chunks(outcome, judges)


def _frames(law: Law, seen: Seen, log: Sequence[Event]) -> None:
    """Each event of the log once, in its order and byte for byte; then ``stream.end``, if it came, and nothing else."""
    frames = list(seen.frames)
    if seen.ended != "204":
        end = json.loads(frames.pop().data)
        assert (end["type"], end["data"]) == ("stream.end", {"status": "completed"})
    name: Callable[[Event], str] = (lambda event: "message") if law == "unnamed" else (lambda event: event.type)
    expected = [Frame(str(event.seq), name(event), event.json.decode()) for event in log]
    ids = [frame.id for frame in frames]
    assert len(ids) == len(set(ids)), f"twice: {[id for id in ids if ids.count(id) > 1][:5]}"
    for there, shown in zip_longest(expected, frames):
        assert there == shown, f"the log has {str(there)[:300]}, and it was shown {str(shown)[:300]}"


def _chunks(outcome: Outcome, judges: Judges) -> None:
    """All chunks of the log, each time from the first on, and the message that they make."""
    seen, whole = outcome.seen, ai_sdk.chunks_of(outcome.log)
    *cut, last = seen.messages
    assert last == whole, _first_difference(whole, last)
    for before in cut:
        assert before == whole[: len(before)], _first_difference(whole, before)
    major = "ai" if outcome.client.name.startswith("ai 6") else "ai7"
    reading = judges.messages[major].read(ai_sdk.wire_of(outcome.log))
    assert seen.last("message") == reading.message
    assert seen.last("messages") == 1


def _agent(seen: Seen, log: Sequence[Event], judges: Judges) -> None:
    """The messages and the state are those of the whole log; the vendor's client warned of nothing."""
    verdict = judges.agent.verify(agui.frames_of(log))
    assert (verdict.error, verdict.warnings) == (None, [])
    assert seen.last("warning") is None
    asked, *messages = seen.last("messages")
    assert asked["role"] == "user"
    assert messages == verdict.messages, _first_difference(verdict.messages, messages)
    assert seen.last("state") == verdict.state


def _first_difference(whole: Sequence[Any], shown: Sequence[Any]) -> str:
    for place, (there, one) in enumerate(zip_longest(whole, shown)):
        if there != one:
            return f"place {place} of {len(whole)}: {str(there)[:300]}, and it was shown {str(one)[:300]}"
    return "no difference"
