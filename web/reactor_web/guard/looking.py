"""What it takes to look for runs on behalf of somebody who sees only some of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Final, NamedTuple

from reactor.errors import LogLost
from reactor.ports.index import RunFilter
from reactor.ports.log import RunRecord
from reactor.runs.run import Run
from reactor.stream.follow import iterate
from reactor.tenants.tenant import Tenant
from reactor_web.guard.cursors import seal

LOOKED_AT: Final = 10_000
"""Records that one page of runs looks at, for somebody who sees only some of them. The next page goes on from there."""


class RunPage(NamedTuple):
    """A page of runs."""

    records: list[RunRecord]
    before: str | None
    """Where the next page begins: the id of the last run, or a sealed one; None on the last page."""


async def read_page(
    tenant: Tenant,
    sees: Callable[[str, str], bool],
    before: str | None,
    limit: int,
    wanted: RunFilter,
) -> RunPage:
    """The runs of a tenant that ``sees(run_id, workflow)`` says are seen, newest first, after the run ``before``."""
    found: list[RunRecord] = []
    looked_at = 0
    while looked_at < LOOKED_AT:
        records = await tenant.list(**wanted, before=before, limit=limit)
        looked_at += len(records)
        for record in records:
            before = record.run_id
            if sees(record.run_id, record.workflow):
                found.append(record)
            if len(found) == limit:
                return RunPage(found, before)
        if len(records) < limit:
            return RunPage(found, None)
    return RunPage(found, before and seal(before, tenant.digest_key, tenant.name))


async def workflow_of(run: Run) -> str:
    """The name of the workflow of a run, once its start is in the log."""
    if run.feed.last_seq == 0:
        with suppress(LogLost):
            async with aclosing(iterate(run.feed)) as windows:
                await anext(windows, None)
    return run.state.workflow or ""
