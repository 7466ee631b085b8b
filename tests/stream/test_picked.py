"""Events of a run by their seqs: in order, all that the log has, in few reads."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import Engine, Workflow
from reactor.events.event import Event
from reactor.logs.memory import MemoryLog
from reactor.recovery.reading import load_outputs, load_reusable
from reactor.stream.picked import pick

SEQS = st.lists(st.integers(1, 5_000), max_size=60)


class Counted(MemoryLog):
    """Counts its reads."""

    reads = 0

    async def read(self, run_id: str, after: int, limit: int, *, tenant: str = "") -> list[Event]:
        self.reads += 1
        return await super().read(run_id, after, limit, tenant=tenant)


@settings(deadline=None)
@given(seqs=SEQS, first=st.integers(1, 3_000), page=st.integers(1, 500))
async def test_what_is_picked_is_what_the_log_has(seqs: list[int], first: int, page: int) -> None:
    """Each seq once, in order, however few events one read gives; what is trimmed is left out."""

    async def read(after: int, limit: int) -> list[Event]:
        start = max(after + 1, first)
        return [Event(seq, "r", "demo.x", None, b"{}") for seq in range(start, min(start + min(limit, page), 4_001))]

    picked = [event.seq async for event in pick(read, seqs)]
    assert picked == sorted({seq for seq in seqs if first <= seq <= 4_000})


flow = Workflow("wide")


@flow.task
def numbers(count: int) -> list[int]:
    return list(range(count))


@flow.task(map={"number": "numbers"})
async def doubled(number: int) -> int | str:
    return 2 * number if number % 1_000 else "x" * 40_000


async def test_the_output_of_a_map_is_few_reads() -> None:
    """As many as its events need: of the map, for a retry, after a restart. Large ones come from beside the events.

    With 16 at once its outputs are near each other. Else as many begin between two of them as the machine is fast.
    """
    log = Counted()
    async with Engine(log, workflows=[flow], concurrency=16) as engine:
        run = await engine.start(flow, {"count": 3_000})
        outputs = await run
        expected = [2 * i if i % 1_000 else "x" * 40_000 for i in range(3_000)]
        assert outputs == {"doubled": expected}
        most = 4 + 2 * 2 * 3_000 / 1_000  # six pages of a thousand events, a task.started for each output; each in two
        ended = await engine.get(run.id)

        log.reads = 0
        assert await ended.output("doubled") == b"[%b]" % b",".join(
            [b'"%b"' % (b"x" * 40_000) if i % 1_000 == 0 else b"%d" % (2 * i) for i in range(3_000)]
        )
        assert log.reads <= most

        log.reads = 0
        assert await load_outputs(log, flow.validate(), ended) == outputs
        assert log.reads <= most

        log.reads = 0
        reused = await load_reusable(log, flow.validate(), ended.state)
        assert reused["doubled[7]"].value == 14
        assert len(reused) == 3_001
        assert log.reads <= most
