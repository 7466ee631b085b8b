"""What goes on in an engine now, in numbers: for metrics. Nothing is counted for it while runs go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from reactor.events.questions import open_questions
from reactor.listeners import RunInfo
from reactor.ports.executor import HasThreads
from reactor.ports.measured import Expires, Kept, Measured
from reactor.tenants.common import Common
from reactor.tenants.tenant import Tenant


class Figures(NamedTuple):
    """Of all tenants of one engine."""

    open_runs: int
    """Runs that are executed in this process."""
    stranded_runs: int
    """Runs that are open in the log, and that nobody goes on with here: those of ``?recoverable=false``."""
    lost_runs: int
    """Runs that wait for their log, which failed."""
    append_pending_seconds: float
    """How long the log has been waited for, by the append that waits longest; 0 where none does."""
    threads: Mapping[str, int]
    """How many threads of bodies there are, by ``idle``, ``busy`` and ``stuck``."""
    log_bytes: int | None
    """None where the log does not say."""
    kept: Kept | None
    """What retention leaves of the ended runs; None where the log does not say."""


def figures_of(common: Common, tenants: Iterable[Tenant]) -> Figures:
    """Those of now. May be called on another thread than the loop's; then some are of a moment later than others."""
    found = list(tenants)
    log, workers = common.log, common.workers
    threads: Counter[str] = Counter()
    for executor in () if workers is None else workers.executors.values():
        if isinstance(executor, HasThreads):
            threads.update(executor.count_threads())
    return Figures(
        open_runs=sum(len(tenant.runs.open) for tenant in found),
        stranded_runs=sum(len(tenant.not_recovered) for tenant in found),
        lost_runs=sum(len(tenant.runs.lost) for tenant in found),
        append_pending_seconds=_pending_seconds(common.clock.monotonic(), found),
        threads=threads,
        log_bytes=log.size_bytes if isinstance(log, Measured) else None,
        kept=log.retention if isinstance(log, Expires) else None,
    )


def _pending_seconds(now: float, tenants: Iterable[Tenant]) -> float:
    longest = 0.0
    for tenant in tenants:
        for execution in list(tenant.runs.executions.values()):
            since = execution.journal.append_since
            if since is not None and now - since > longest:
                longest = now - since
        for lost in list(tenant.runs.lost.values()):
            if lost.append_since is not None and not lost.answered.done():
                longest = max(longest, now - lost.append_since)
    return longest


def count_questions(tenants: Mapping[str, Tenant], run: RunInfo) -> int | None:
    """How many questions of a run nobody has answered yet; None where the run is not open here.

    ``tenants``: by name.
    """
    tenant = tenants.get(run.tenant)
    found = None if tenant is None else tenant.runs.open.get(run.run_id)
    return None if found is None else len(open_questions(found.feed.state))
