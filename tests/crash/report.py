"""What a world did, in numbers, and what was wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.crash import checks, streams
from tests.crash.evidence import Evidence

CHECKS = [
    checks.holes,
    checks.repeated,
    checks.overlapping,
    checks.unstarted,
    checks.undone,
    checks.taken_over,
    checks.uncommitted,
    checks.asked_again,
    checks.children,
    checks.money,
    checks.unanswered,
    checks.unfolded,
    checks.otherwise,
    streams.wrongly_shown,
]


def faults(evidence: Evidence) -> Iterator[str]:
    """All that is wrong, each with the check that found it."""
    for check in CHECKS:
        for fault in check(evidence):
            yield f"{check.__name__}: {fault}"


def figures(evidence: Evidence) -> Counter[str]:
    """What happened, counted; of several worlds it adds up."""
    return Counter(
        lives=len(evidence.ends),
        runs=len(evidence.events),
        events=sum(map(len, evidence.events.values())),
        effects=len(evidence.lines),
        commands=len(evidence.answers),
        followers=len(evidence.shown),
        shown=sum(len(shown.messages) for shown in evidence.shown),
        **{"bodies run again": checks.again(evidence.lines)},
    )
