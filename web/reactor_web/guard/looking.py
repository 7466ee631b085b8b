"""What it takes to look for runs on behalf of somebody who sees only some of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from typing import Final, NamedTuple

from reactor.errors import LogLost
from reactor.ports.index import RunFilter
from reactor.ports.log import RunRecord
from reactor.runs.asked import QuestionPage, QuestionPlace
from reactor.runs.run import Run
from reactor.stream.follow import iterate
from reactor.tenants.tenant import Tenant
from reactor_web.guard.cursors import seal, unseal
from reactor_web.http.problems import Problem

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


async def read_questions(
    tenant: Tenant,
    sees: Callable[[str, str], bool] | None,
    before: str | None,
    limit: int,
    *,
    workflow: str | None,
    meta: Mapping[str, str] | None,
) -> QuestionPage:
    """A page of the questions of runs that are seen. Its cursor is sealed: it may name a run that is not.

    Raises Problem 400 for a ``before`` that is no such cursor.
    """
    place = None if before is None else _unsealed(before, tenant)
    page = await tenant.questions(workflow=workflow, meta=meta, before=place, limit=limit, admits=sees)
    if page.cursor is None:
        return page
    ends = QuestionPlace.of(page.cursor)
    return page._replace(cursor=f"{seal(ends.run_id, tenant.digest_key, tenant.name)}.{ends.seq}")


def _unsealed(cursor: str, tenant: Tenant) -> str:
    sealed, _, seq = cursor.rpartition(".")
    place = f"{unseal(sealed, tenant.digest_key, tenant.name)}/{seq}"
    try:
        return str(QuestionPlace.of(place))
    except ValueError:
        raise Problem(400, "cursor: this is not the cursor of a page of this list") from None


async def workflow_of(run: Run) -> str:
    """The name of the workflow of a run, once its start is in the log."""
    if run.feed.last_seq == 0:
        with suppress(LogLost):
            async with aclosing(iterate(run.feed)) as windows:
                await anext(windows, None)
    return run.state.workflow or ""
