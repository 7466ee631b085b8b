"""All tenants of an engine. One is made when it is named, and forgotten when nothing of it is going on."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from weakref import WeakValueDictionary

from reactor import bounds
from reactor.errors import LogUnavailable
from reactor.listeners import RunInfo
from reactor.logger import get_logger
from reactor.ports.executor import Work
from reactor.ports.log import RunRecord
from reactor.requests import check_tenant
from reactor.runs.blocked import warn_blocked
from reactor.runs.draining import drain_runs, lose_all, lose_rewound, suspend_all
from reactor.tenants.common import Common
from reactor.tenants.figures import Figures, count_questions, figures_of
from reactor.tenants.tenant import Tenant

logger = get_logger()


class Tenants:
    """Those of one engine. The default tenant ``""`` is always there."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self.default = Tenant("", common)
        self._others: OrderedDict[str, Tenant] = OrderedDict()
        """By name, the one that was named last at the end."""
        self._known: WeakValueDictionary[str, Tenant] = WeakValueDictionary()
        """Also those that are dropped, as long as somebody holds them: of one name there are never two."""

    def __iter__(self) -> Iterator[Tenant]:
        yield self.default
        yield from list(self._others.values())

    def figures(self) -> Figures:
        """What goes on now, of all tenants."""
        return figures_of(self._common, self)

    def count_questions(self, runs: Iterable[RunInfo]) -> dict[RunInfo, int]:
        """Of those of these runs that are open here, how many questions nobody has answered yet."""
        tenants = {tenant.name: tenant for tenant in self}
        counted = {run: count_questions(tenants, run) for run in runs}
        return {run: count for run, count in counted.items() if count is not None}

    def of(self, name: str) -> Tenant:
        """The tenant of this name. Raises ValueError for what cannot be one."""
        if name == "":
            return self.default
        tenant = self._others.get(name) or self._known.get(name)
        if tenant is None:
            tenant = self._known[check_tenant(name)] = Tenant(name, self._common, self._keep)
        self._keep(tenant)
        return tenant

    def _keep(self, tenant: Tenant) -> None:
        """Something is asked of it, or begins in it."""
        if tenant.name not in self._others:
            self._others[tenant.name] = tenant
            self._forget_idle()
        self._others.move_to_end(tenant.name)

    def _forget_idle(self) -> None:
        """Anybody may name a tenant: those that nothing goes on for are dropped beyond a number, and made anew."""
        if len(self._others) <= bounds.TENANTS:
            return
        for name, tenant in list(self._others.items())[:-1]:
            if tenant.is_idle:
                del self._others[name]
                return

    async def recover(self, records: Iterable[RunRecord]) -> None:
        """Goes on with the open runs of each tenant."""
        by_tenant: dict[str, list[RunRecord]] = {"": []}
        for record in records:
            by_tenant.setdefault(record.tenant, []).append(record)
        for name, own in by_tenant.items():
            tenant = self.of(name)
            tenant.enter()
            await tenant.recovery.recover(own)

    def warn_blocked(self, work: Work, seconds: float) -> None:
        """A body held the event loop."""
        warn_blocked(self.of(work.tenant).runs, work, seconds)

    def change_health(self, error: LogUnavailable | None) -> None:
        """The log cannot be used any more, or it can again."""
        if self._common.is_draining:
            return
        self._common.stores.health.change(error)
        if error is None:
            logger.info("the log can be used again")
            return
        lost = sum(lose_all(tenant.runs, error) for tenant in self)
        logger.error("the log cannot be used", error=str(error), lost_runs=lost)

    def rewound(self, tenant: str, run_id: str, kept: int, lost: int) -> None:
        """The log has lost the end of a run that is executed here."""
        self._common.listeners.run_rewound(run_id, kept, lost)
        lose_rewound(self.of(tenant).runs, run_id, kept)

    # --- the end ---

    async def stop_retaking(self) -> None:
        """Takes up no lost runs any more, and asks the log nothing."""
        await self._common.stores.probing.close()
        await asyncio.gather(*(tenant.recovery.retaking.close() for tenant in self))

    async def drain(self, grace: float) -> bool:
        """Gives the open runs of all tenants so long to end; whether all ended, or were left, in time."""
        log, timeout = self._common.log, self._common.settings.append_timeout
        drained = [drain_runs(tenant.runs, log.durable, grace, timeout) for tenant in self]
        in_time = await asyncio.gather(*drained)
        upkeep = [job for tenant in self for job in tenant.recovery.left.upkeep]
        await asyncio.gather(*upkeep, return_exceptions=True)
        return all(in_time)

    def suspend(self) -> None:
        """Leaves the runs that are still open as the log has them."""
        for tenant in self:
            suspend_all(tenant.runs)
