"""What an engine lends to its runs: log, clock, executors, and the limits that hold across runs.

``Workers`` are shared by all tenants, a ``Host`` is what the runs of one tenant have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from reactor.clock import LoopScheduler
from reactor.definition.graph import Graph, Node
from reactor.definition.names import known_names
from reactor.definition.policy import Limit
from reactor.errors import ThreadsExhausted
from reactor.executors.careful import CarefulExecutor
from reactor.executors.kinds import KINDS
from reactor.executors.local import LocalExecutor
from reactor.listeners import Listeners
from reactor.logger import get_logger
from reactor.ports.clock import Clock
from reactor.ports.executor import Executor, Exhaustible, Mortal, Work
from reactor.ports.handover import Handover
from reactor.ports.log import EventLog
from reactor.ports.outputs import OutputStore
from reactor.ports.sharing import NamedRate, SharesLimits, Slots, Starts
from reactor.ports.tracing import Tracing
from reactor.runs.children import ChildRuns
from reactor.supervision.slots import Gate, LocalSlots, Rate

logger = get_logger()


class HostSettings(NamedTuple):
    """What the settings of an engine say for all its runs. They are explained at ``Engine``."""

    resources: Mapping[str, Any]
    concurrency: int | None
    tracebacks: bool
    append_timeout: float
    window: int
    listeners: Listeners


class Resources(dict[str, Any]):
    """What bodies find as ``ctx.resources``. The error for a name that is missing says where it would come from."""

    def __missing__(self, name: str) -> Any:
        there = known_names(map(str, self))
        raise KeyError(f"there is no resource {name!r}; there are {there}: Engine(resources={{{name!r}: ...}})")


class _NamedLimits:
    """What the bodies of all runs of one tenant take of the named limits, made at first use.

    ``limits`` may get more meanwhile. ``shared``: what makes them where they hold for other processes too.
    """

    def __init__(self, limits: Mapping[str, Limit], clock: Clock, tenant: str, shared: SharesLimits | None) -> None:
        self._limits = limits
        self._clock = clock
        self._tenant = tenant
        self._shared = shared
        self._slots: dict[str, Slots] = {}
        self._rates: dict[str, Rate] = {}
        self._shared_starts: WeakValueDictionary[tuple[str, ...], Starts] = WeakValueDictionary()
        """By the names of the rates. Gone with the last run that has them: what counts is not in this process."""

    def of(self, names: Iterable[str]) -> tuple[list[Slots], list[Starts]]:
        """The slots and the starts of these limits, in the order in which all tasks take them."""
        limits = [self._limits[name] for name in sorted(names)]
        rates = [NamedRate(limit.name, limit.amount, limit.per) for limit in limits if limit.per is not None]
        return [self._slots_of(limit) for limit in limits if limit.per is None], self._starts_of(rates)

    def make_slots(self, name: str, limit: int) -> Slots:
        return LocalSlots(limit) if self._shared is None else self._shared.slots(f"{self._tenant}/{name}", limit)

    def _slots_of(self, limit: Limit) -> Slots:
        if limit.name not in self._slots:
            self._slots[limit.name] = self.make_slots(limit.name, limit.amount)
        return self._slots[limit.name]

    def _starts_of(self, rates: list[NamedRate]) -> list[Starts]:
        if self._shared is None or not rates:
            return [self._rate_of(rate) for rate in rates]
        names = tuple(rate.name for rate in rates)
        starts = self._shared_starts.get(names)
        if starts is None:
            starts = self._shared.starts([rate._replace(name=f"{self._tenant}/{rate.name}") for rate in rates])
            self._shared_starts[names] = starts
        return [starts]

    def _rate_of(self, rate: NamedRate) -> Rate:
        if rate.name not in self._rates:
            clock = self._clock
            self._rates[rate.name] = Rate(rate.amount, rate.per, clock=clock.monotonic, call_later=clock.call_later)
        return self._rates[rate.name]


class Workers:
    """What runs bodies: the executors, and what the bodies of all tenants share of them.

    Made when the engine is entered, closed when it is left. ``blocked(work, seconds)``: a body held the event loop.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, concurrency: int | None, blocked: Callable[[Work, float], None]
    ) -> None:
        self.loop = loop
        self.executors: dict[str, Executor] = {name: kind.make(loop, blocked) for name, kind in KINDS.items()}
        self.executor_slots = {name: LocalSlots(kind.slots) for name, kind in KINDS.items() if kind.slots is not None}
        self.gates = _gates_of(self.executors)
        self.engine_slots = None if concurrency is None else LocalSlots(concurrency)
        self._waiting = dict.fromkeys(KINDS, 0)
        """How many bodies wait for an answer, by executor."""

    def keep_until(self, ends: float) -> None:
        """Bodies that are elsewhere than in this process end then by themselves, unless it is put off before."""
        for executor in self.executors.values():
            if isinstance(executor, Mortal):
                executor.keep_until(ends)

    async def close(self) -> None:
        """Ends all workers of the executors."""
        for name, executor in self.executors.items():
            try:
                await executor.close()
            except Exception as error:  # of an executor of a user's: the others end all the same
                logger.error("an executor did not close", executor=name, exc_info=error)

    def wait_begins(self, executor: str, run_id: str, task_id: str) -> None:
        """A body waits for an answer, without a slot. It still occupies its thread or process, so these are counted.

        Raises ThreadsExhausted where too many wait.
        """
        most = KINDS[executor].waiting
        if most is None:
            return
        if self._waiting[executor] >= most:
            raise ThreadsExhausted(
                f"task {task_id} of run {run_id} cannot wait: {most:,} bodies wait in their "
                f"{executor} already; an async def body needs none",
                run_id=run_id,
                task_id=task_id,
            )
        self._waiting[executor] += 1

    def wait_ends(self, executor: str) -> None:
        if KINDS[executor].waiting is not None:
            self._waiting[executor] -= 1


class Host:
    """What the runs of one tenant are lent. Named limits, and those of a workflow, each tenant has for itself:
    nobody waits for what a body of another tenant holds, except for the workers themselves."""

    def __init__(
        self,
        workers: Workers,
        log: EventLog,
        outputs: OutputStore,
        clock: Clock,
        settings: HostSettings,
        *,
        limits: Mapping[str, Limit],
        digest_key: bytes,
        after_crash: bool,
        child_runs: ChildRuns,
        tenant: str = "",
        shared: SharesLimits | None = None,
        handover: Handover | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """``shared``: what makes limits that hold for other processes too; ``handover``: where they take over runs."""
        self.tenant, self.tracing = tenant, tracing
        self.log = log
        self.outputs = outputs
        self.clock = clock
        self.loop = workers.loop
        self.scheduler = LoopScheduler(workers.loop, clock)
        self.resources = MappingProxyType(Resources(settings.resources))
        self.tracebacks = settings.tracebacks
        self.append_timeout = settings.append_timeout
        self.window = settings.window
        self.listeners = settings.listeners
        self.digest_key = digest_key
        self.after_crash = after_crash
        """The engine that had the log before may have been killed."""
        self.child_runs = child_runs
        self.executors = workers.executors if handover is None else _standing(workers, handover)
        self.is_limited = settings.concurrency is not None
        self.wait_begins = workers.wait_begins
        self.wait_ends = workers.wait_ends
        self._workers = workers
        self._workflow_slots: WeakValueDictionary[tuple[str, int], Slots] = WeakValueDictionary()
        """Gone as soon as no body has a slot or waits for one: workflows may be made for one run each."""
        self._named = _NamedLimits(limits, clock, tenant, shared)

    def limits_of(self, graph: Graph, node: Node, own: Slots | None) -> tuple[tuple[Slots, ...], tuple[Starts, ...]]:
        """What a body of this task takes before it starts: its slots, and its rates.

        Slots come in one order for all tasks, so that no two bodies wait for each other. ``own``: the slots of this
        task in its run.
        """
        named, starts = self._named.of({limit if isinstance(limit, str) else limit.name for limit in node.task.limits})
        workers = self._workers
        slots = [
            own,
            self._slots_of(graph),
            *named,
            workers.engine_slots,
            workers.executor_slots.get(node.executor),
        ]
        gates = [workers.gates[node.executor]] if node.executor in workers.gates else []
        return tuple(s for s in slots if s is not None), (*gates, *starts)

    def _slots_of(self, graph: Graph) -> Slots | None:
        if graph.concurrency is None:
            return None
        name, limit = key = graph.name, graph.concurrency
        slots = self._workflow_slots.get(key)
        if slots is None:
            slots = self._workflow_slots[key] = self._named.make_slots(f"workflow/{name}/{limit}", limit)
        return slots


def _standing(workers: Workers, handover: Handover) -> dict[str, Executor]:
    """The executors, which begin nothing of runs that this process may not execute any more."""
    for one in workers.executors.values():
        if isinstance(one, LocalExecutor):
            one.standing = handover.standing
    return {name: CarefulExecutor(workers.loop, one, handover.standing) for name, one in workers.executors.items()}


def _gates_of(executors: Mapping[str, Executor]) -> dict[str, Gate]:
    """A gate for each executor that may have no place left."""
    gates: dict[str, Gate] = {}
    for name, executor in executors.items():
        if isinstance(executor, Exhaustible):
            gates[name] = Gate()
            executor.watch(gates[name].set_open)
    return gates
