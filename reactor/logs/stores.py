"""A log, taken apart into its ports: everybody is given the ports they use and no other."""

from __future__ import annotations

from dataclasses import dataclass

from reactor.logger import get_logger
from reactor.logs.digest_key import load_digest_key
from reactor.logs.embedded import (
    MemoryAnswers,
    MemoryCheckpoints,
    MemoryDigestKey,
    MemoryOutputs,
    MemorySchedules,
    MemoryStops,
)
from reactor.logs.health import LogHealth
from reactor.logs.holder import AlwaysHolder
from reactor.logs.probing import Probing
from reactor.logs.stops import take_stop
from reactor.ports.clock import Clock
from reactor.ports.handover import Handover, Inboxes
from reactor.ports.index import RunIndex
from reactor.ports.log import EventLog
from reactor.ports.order import CommitOrder, RunsOrder, WholeOrder
from reactor.ports.outputs import OutputStore
from reactor.ports.schedules import ScheduleStore
from reactor.ports.sharing import Lease, LiveFeed, SharesLimits
from reactor.ports.stores import Checkpoints, CleanStops, DigestKey, Idempotency, KeepsTime, Log, Probed

logger = get_logger()


@dataclass(frozen=True, slots=True)
class Stores:
    """What an engine stores in."""

    events: EventLog
    index: RunIndex
    outputs: OutputStore
    checkpoints: Checkpoints
    answers: Idempotency
    stops: CleanStops
    key: DigestKey
    schedules: ScheduleStore
    lease: Lease
    live: LiveFeed | None
    """None where no other process executes runs of this log."""
    shared_limits: SharesLimits | None
    """None where limits hold for this process only."""
    handover: Handover | None
    """The same, for runs that change hands."""
    inboxes: Inboxes | None
    """The same, for commands to runs."""
    health: LogHealth
    order: CommitOrder | None
    """None where the log does not have it: then the stream of a tree cannot be had."""
    whole: WholeOrder | None
    """None where the log does not have it: then the events of all runs cannot be had."""
    of_runs: RunsOrder | None
    """None where the log does not have it: then those of some runs are looked for among those of all."""
    probing: Probing
    """Of the whole log, for all tenants."""
    embedded: tuple[str, ...]
    """What the log does not implement. It is kept in memory, and lost when the process ends."""


async def open_timed(log: Log, clock: Clock, append_timeout: float) -> None:
    """Opens a log, which before that is told the clock and the patience of its engine, if it wants to know."""
    if isinstance(log, KeepsTime):
        log.keep_time(clock, append_timeout)
    await log.open()


def stores_of(log: Log) -> Stores:
    """The ports of a log. The ones it does not implement are kept in memory."""
    found = {
        "cached outputs": isinstance(log, OutputStore),
        "checkpoints": isinstance(log, Checkpoints),
        "idempotency keys": isinstance(log, Idempotency),
        "clean stops": isinstance(log, CleanStops),
        "the key of its digests": isinstance(log, DigestKey),
        "schedules": isinstance(log, ScheduleStore),
    }
    return Stores(
        log,
        log,
        *_kept(log),
        *_shared(log),
        LogHealth(),
        *_orders(log),
        Probing(log if isinstance(log, Probed) else None),
        tuple(name for name, is_there in found.items() if not is_there),
    )


# In three functions, since a type checker follows every combination of what a log may be: in one it took minutes.


def _kept(
    log: Log,
) -> tuple[OutputStore, Checkpoints, Idempotency, CleanStops, DigestKey, ScheduleStore]:
    """What is kept in memory where the log does not."""
    return (
        log if isinstance(log, OutputStore) else MemoryOutputs(),
        log if isinstance(log, Checkpoints) else MemoryCheckpoints(),
        log if isinstance(log, Idempotency) else MemoryAnswers(),
        log if isinstance(log, CleanStops) else MemoryStops(),
        log if isinstance(log, DigestKey) else MemoryDigestKey(),
        log if isinstance(log, ScheduleStore) else MemorySchedules(),
    )


def _shared(log: Log) -> tuple[Lease, LiveFeed | None, SharesLimits | None, Handover | None, Inboxes | None]:
    """What a log has that several processes share."""
    return (
        log if isinstance(log, Lease) else AlwaysHolder(),
        log if isinstance(log, LiveFeed) else None,
        log if isinstance(log, SharesLimits) else None,
        log if isinstance(log, Handover) else None,
        log if isinstance(log, Inboxes) else None,
    )


def _orders(log: Log) -> tuple[CommitOrder | None, WholeOrder | None, RunsOrder | None]:
    """In which orders it can be read."""
    return (
        log if isinstance(log, CommitOrder) else None,
        log if isinstance(log, WholeOrder) else None,
        log if isinstance(log, RunsOrder) else None,
    )


async def take_over(log: Log, stores: Stores) -> tuple[bytes, bool]:
    """What an engine does first with the log it has opened.

    Returns the key of its digests, and whether the engine before may have been killed: it has not left its mark.

    Says whether the engine before was killed, and what a restart will lose although the log itself survives it.
    """
    was_clean = await take_stop(stores.stops)
    if log.durable and stores.embedded:
        logger.warning("the log does not keep everything; it is kept in memory", what=stores.embedded)
    return await load_digest_key(stores.key), was_clean is not True
