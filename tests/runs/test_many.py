"""What is done for the two thousandth of a kind takes as many operations as for the twentieth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from reactor import Engine
from reactor.events.event import Draft, Event
from reactor.events.fold import evolve
from reactor.events.state import RunState
from reactor.logs.memory import MemoryLog
from reactor.ports.speech import Ask
from reactor.runs.children import Children
from reactor.tasks.mailbox import ANSWERED, Letter, Mailbox, Misdirected
from tests.helpers.operations import operations

FEW, MANY = 20, 2_000


def ask(name: str, place: int = 1) -> Ask:
    return Ask(place, "go on?", None, name, None)


async def answered_before(count: int) -> int:
    """A question is asked and answered after so many others; the value names none."""
    mailbox = Mailbox()
    mailbox.begin_attempt()
    for i in range(count):
        mailbox.add(ask(f"k{i}"), None).settle(ANSWERED, Letter(i, None, i))

    def answer() -> None:
        question = mailbox.add(ask("last"), None)
        assert mailbox.addressee(None, 0) is question
        mailbox.deliver(Letter(1, None, 1), question)

    return operations(answer)


async def open_beside(count: int) -> int:
    """One of so many open questions is answered by its key, and another value names none."""
    mailbox = Mailbox()
    for i in range(count):
        mailbox.add(ask(f"k{i}"), None)

    def answer() -> None:
        with pytest.raises(Misdirected) as refused:
            mailbox.addressee(None, 0)
        assert len(str(refused.value)) < 1_000
        question = mailbox.addressee("k7", 0)
        mailbox.deliver(Letter(1, "k7", 1), question)

    return operations(answer)


async def folded_before(count: int) -> int:
    """A question and its answer, after so many questions and answers, and among so many that are open."""
    state = RunState("r")

    def fold(type: str, data: bytes) -> None:
        head = b',"task_id":"ask","task":"ask","attempt":1'
        evolve(
            state, Event.from_draft(state.seq + 1, "r", b"2026-01-01T00:00:00.000000Z", Draft(type, data, "ask", head))
        )

    def both(key: str) -> None:
        fold("task.waiting", b'{"key":"%b","prompt":null,"schema":null}' % key.encode())
        fold("task.received", b'{"key":"%b","value":1}' % key.encode())

    for i in range(count):
        both(f"k{i}")
        fold("task.waiting", b'{"key":"open%d","prompt":null,"schema":null}' % i)
    task = state.tasks["ask"]
    received = task.received
    counted = operations(lambda: fold("task.waiting", b'{"key":"last","prompt":null,"schema":null}'))
    counted += operations(lambda: fold("task.received", b'{"key":"open0","value":1}'))
    assert task.received is received  # a copy of it would grow, and no operation would tell
    return counted


async def waited_for(count: int) -> int:
    """Somebody waits for a run, as so many do."""
    async with Engine() as engine:
        waiting = [engine.wait_for(f"r{i}") for i in range(count // 3)]
        counted = operations(lambda: waiting.append(engine.wait_for("last")))
        for one in waiting:
            one.cancel()
        await asyncio.sleep(0)
        return counted


async def listed(count: int) -> int:
    """The oldest page of so many open runs."""
    log = MemoryLog()
    async with Engine(log) as engine:
        for i in range(20 + count // 8):
            await engine.session(f"s{i}")
        page: list[Any] = []
        read = log.records(status=None, workflow=None, before="s10", limit=5)

        def step() -> None:
            with pytest.raises(StopIteration) as end:
                read.send(None)
            page.extend(end.value.value)

        counted = operations(step)
        assert [record.run_id for record in page] == ["s9", "s8", "s7", "s6", "s5"]
        for i in range(0, 20, 2):
            await (await engine.session(f"s{i}")).close()
        assert [run.run_id for run in await engine.list(before="s10", limit=100)] == [f"s{i}" for i in range(9, -1, -1)]
        return counted


class Child:
    """An open child run, as its parent sees it."""

    ending = None
    is_sealed = False

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.cancelled = 0

    def cancel(self, reason: str, *, by: str | None, grace: float) -> None:
        self.cancelled += 1


class Parent:
    grace = 1.0


async def left_behind(count: int) -> int:
    """A task ends; so many others have child runs that are open, and it has one."""
    children = Children(Parent(), None)  # type: ignore[arg-type]
    others = [Child(f"r.{i}") for i in range(count)]
    mine = Child("mine")
    for i, child in enumerate([*others, mine]):
        children.add(child, "ended" if child is mine else f"task[{i}]")  # type: ignore[arg-type]
    counted = operations(lambda: children.leave("ended"))
    assert (mine.cancelled, sum(child.cancelled for child in others)) == (1, 0)
    children.remove(mine, "ended")  # type: ignore[arg-type]
    children.leave("ended")
    assert (mine.cancelled, len(children.open)) == (1, count)
    return counted


@pytest.mark.parametrize("cost", [answered_before, open_beside, folded_before, waited_for, listed, left_behind])
async def test_the_last_costs_what_the_first_does(cost: Callable[[int], Coroutine[Any, Any, int]]) -> None:
    """A hundred times as many of a kind, and hardly an operation more."""
    few, many = await cost(FEW), await cost(MANY)
    assert few > 0
    assert many <= 1.3 * few + 50
