"""The way of an event: the same with a log that answers at once as with one that answers later."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.clock import LoopScheduler, SystemClock
from reactor.errors import LogLost
from reactor.events.event import Draft, Event, Window
from reactor.listeners import RunInfo
from reactor.logs.memory import MemoryLog
from reactor.operators.attached import Callbacks, Inlet
from reactor.operators.buffer_window import Room
from reactor.stream.pipeline import Pipeline, append, number
from reactor.testing import VirtualClock
from reactor.testing.faulty_logs import FaultyLog, SlowLog
from tests.helpers.log_lines import log_lines
from tests.helpers.runs import PATIENCE

RUN = "run"
MANY = 10_000
SETTLED = 20
"""Turns in which a log that answers later has long answered a few windows."""
LOGS = pytest.mark.parametrize("answers", ["at once", "later"])


class Windows(SlowLog):
    """Writes down which windows a log was given, and how many of them it had not answered at most."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner, 0)
        self.given: list[list[int]] = []
        self.taken = 0
        """The last event that was answered for."""
        self.under_way = 0
        self.most_under_way = 0

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
        self.given.append([event.seq for event in window])
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        appended = self._answer(run_id, window)
        if appended.done():
            self._answered(appended)
        else:
            appended.add_done_callback(self._answered)
        return appended

    def _answer(self, run_id: str, window: Window) -> asyncio.Future[None]:
        return self.inner.append(run_id, window)

    def _answered(self, _: asyncio.Future[None]) -> None:
        self.under_way -= 1
        self.taken = self.given[-1][-1]


class Later(Windows):
    """The same of one that answers in another turn."""

    def _answer(self, run_id: str, window: Window) -> asyncio.Future[None]:
        return SlowLog.append(self, run_id, window)


class Writer:
    """A pipeline on the running loop, what was written into it, and what its end was told."""

    def __init__(self, answers: str = "at once", log: Callable[[Any], Any] | None = None, **options: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.memory = MemoryLog()
        inner = self.memory if log is None else log(self.memory)
        self.log = Windows(inner) if answers == "at once" else Later(inner)
        self.written: list[str] = []
        self.published: list[Event] = []
        self.windows: list[list[int]] = []
        self.lost: list[Exception] = []
        self.hear: Callable[[Event], None] = lambda event: None
        """What the subscriber does with each event while it is being told."""
        self.ended = asyncio.Event()
        self._is_telling = False
        self.pipeline = Pipeline(
            RUN, self.log, SystemClock(), LoopScheduler(self.loop), publish=self._publish, lost=self._lost, **options
        )

    def write(self, type: str = "demo.said") -> None:
        self.written.append(type)
        self.pipeline.write(Draft(type, b'{"number":%d}' % len(self.written)))

    def _publish(self, window: Window) -> None:
        assert not self._is_telling, "the subscriber is told while it is being told"
        self._is_telling = True
        try:
            self.windows.append([event.seq for event in window])
            for event in window:
                self.published.append(event)
                self.hear(event)
        finally:
            self._is_telling = False
        if window[-1].type == "run.completed":
            self.ended.set()

    def _lost(self, error: Exception) -> None:
        self.lost.append(error)
        self.ended.set()

    async def end(self) -> None:
        """Writes the terminal event, and waits until it is published or everything is lost."""
        self.write("run.completed")
        await self.ended.wait()

    @property
    def told(self) -> list[tuple[int, str, int]]:
        return [(event.seq, event.type, event.data["number"]) for event in self.published]

    @property
    def expected(self) -> list[tuple[int, str, int]]:
        """Everything that was written, in that order, numbered from 1."""
        return [(n, type, n) for n, type in enumerate(self.written, 1)]


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# --- order --------------------------------------------------------------------------------------------------------


STEPS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=10)
"""How many are written, and how many turns pass then."""
REPLIES = st.dictionaries(st.integers(1, 20), st.integers(1, 3), max_size=4)
"""After which event the subscriber writes how many."""


@given(STEPS, REPLIES, st.integers(1, 4), st.integers(100, 1000))
def test_the_same_events_are_published_in_the_same_order_whenever_the_log_answers(
    steps: list[tuple[int, int]], replies: dict[int, int], max_events: int, max_bytes: int
) -> None:
    """What was written, in its order and once; one window under way, and published as it was taken."""

    async def follow(answers: str) -> None:
        writer = Writer(answers, room=Room(max_events, max_bytes))

        def reply(event: Event) -> None:
            for _ in range(replies.get(event.seq, 0) if event.type == "demo.said" else 0):
                if "run.completed" not in writer.written:
                    writer.write()

        writer.hear = reply
        for count, pause in steps:
            for _ in range(count):
                writer.write()
            await turns(pause)
        await writer.end()
        assert writer.told == writer.expected
        assert writer.published == await writer.memory.read(RUN, 0, 1000)
        assert writer.windows == writer.log.given
        assert writer.log.most_under_way == 1
        assert all(len(window) <= max_events for window in writer.windows)
        assert (writer.pipeline.room.events, writer.pipeline.room.bytes) == (0, 0)
        assert writer.lost == []

    asyncio.run(follow("at once"))
    asyncio.run(follow("later"))


@LOGS
async def test_what_is_written_in_a_turn_is_one_window(answers: str) -> None:
    """Nothing is published inside of ``write``; the numbers go on where the log ended."""
    writer = Writer(answers, last_seq=0)
    for _ in range(3):
        writer.write()
    assert writer.log.given == []
    await turns(SETTLED)
    assert writer.windows == [[1, 2, 3]]


async def test_numbers_go_on_after_the_last_one_of_the_log() -> None:
    """A run that is recovered has written before."""
    writer = Writer()
    for _ in range(2):
        writer.write()
    await turns(1)
    again = Writer(log=lambda _: writer.memory, last_seq=2)
    again.write()
    await turns(1)
    assert again.windows == [[3]]
    assert [event.seq for event in await writer.memory.read(RUN, 0, 10)] == [1, 2, 3]


@LOGS
async def test_nothing_is_published_before_the_log_has_taken_it(answers: str) -> None:
    """Whoever hears of an event finds it in the log."""
    writer, taken = Writer(answers), list[bool]()
    writer.hear = lambda event: taken.append(event.seq <= writer.log.taken)
    for _ in range(3):
        writer.write()
        await turns(2)
    await writer.end()
    assert taken == [True] * 4


# --- subscribers that write ---------------------------------------------------------------------------------------


@LOGS
async def test_what_a_subscriber_writes_while_it_is_being_told_is_queued_behind(answers: str) -> None:
    """It hears the rest of its window first, then what others have written, then its own."""
    writer = Writer(answers)
    writer.hear = lambda event: writer.write("demo.replied") if event.type == "demo.said" else None
    for _ in range(3):
        writer.write()
    await turns(SETTLED)
    assert [type for _, type, _ in writer.told] == ["demo.said"] * 3 + ["demo.replied"] * 3
    assert writer.windows == [[1, 2, 3], [4, 5, 6]]
    await writer.end()
    assert writer.told == writer.expected


@LOGS
async def test_a_subscriber_may_reply_to_each_of_its_own_replies(answers: str) -> None:
    """Ten thousand times: no window is handed out inside of another, and others have their turns between them."""
    writer, other = Writer(answers), 0

    def reply(event: Event) -> None:
        if event.seq < MANY:
            writer.write()
        elif event.seq == MANY:
            writer.write("run.completed")

    async def count_turns() -> None:
        nonlocal other
        while not writer.ended.is_set():
            other += 1
            await asyncio.sleep(0)

    writer.hear = reply
    writer.write()
    await asyncio.wait_for(count_turns(), PATIENCE)
    assert writer.lost == []
    assert len(writer.published) == MANY + 1
    assert writer.told == writer.expected
    assert len(writer.windows) == MANY + 1
    assert other >= MANY


@LOGS
async def test_a_subscriber_may_dispose_while_it_is_being_told(answers: str) -> None:
    """Nothing more is handed out, though more has been written."""
    writer = Writer(answers, room=Room(max_events=2))

    def leave(event: Event) -> None:
        if event.seq == 2:
            writer.write()
            writer.pipeline.dispose()
            writer.write()

    writer.hear = leave
    for _ in range(5):
        writer.write()
    await turns(SETTLED)
    assert writer.windows == writer.log.given == [[1, 2]]


# --- the end ------------------------------------------------------------------------------------------------------


@LOGS
@pytest.mark.parametrize("terminal", ["run.completed", "run.failed", "run.cancelled"])
async def test_the_terminal_event_seals(answers: str, terminal: str) -> None:
    """Nothing has a number after it, whenever it was written: in the same turn, while it is told, or later."""
    writer = Writer(answers)
    writer.hear = lambda event: writer.write("demo.late")
    writer.write()
    writer.write(terminal)
    writer.write("demo.late")
    writer.write("run.completed")
    await turns(SETTLED)
    writer.write("demo.late")
    await turns(SETTLED)
    assert [type for _, type, _ in writer.told] == ["demo.said", terminal]
    assert writer.log.given == [[1, 2]]
    assert writer.lost == []


@LOGS
async def test_what_waits_is_published_before_the_terminal_event(answers: str) -> None:
    """Window by window: nothing is lost at the end."""
    writer = Writer(answers, room=Room(max_events=2))
    for _ in range(4):
        writer.write()
    await writer.end()
    assert writer.windows == [[1, 2], [3, 4], [5]]


async def test_what_is_written_after_the_end_is_warned_of() -> None:
    """It is a bug of the engine, which should not be silent."""
    writer = Writer()
    with log_lines() as logged:
        writer.write("run.completed")
        writer.write("demo.late")
    assert [entry["type"] for entry in logged] == ["demo.late"]


@pytest.mark.parametrize("types", [["demo.said", "run.failed", "demo.late", "run.completed"], ["demo.said"]])
def test_none_has_a_number_after_the_terminal_event(types: list[str]) -> None:
    """Also where the source goes on, which is warned of; it completes once, with that event or with its source."""
    drafts, said = Inlet[Draft](), list[Any]()
    numbered = drafts.pipe(number(RUN, SystemClock(), last_seq=4))
    numbered.attach(Callbacks(lambda event: said.append((event.seq, event.type)), print, lambda: said.append("done")))
    with log_lines() as logged:
        for type in types:
            drafts.on_next(Draft(type, b"{}"))
        drafts.on_completed()
    assert said == [*enumerate(types[:2], 5), "done"]
    assert [entry["type"] for entry in logged] == types[2:]


# --- loss ---------------------------------------------------------------------------------------------------------


class Cancelling(FaultyLog):
    """Its futures are cancelled, as by somebody who closed it."""

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
        if window[0].seq <= self.after:
            return self.inner.append(run_id, window)
        cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        return cancelled


REFUSALS: dict[str, tuple[Callable[[Any], FaultyLog], str]] = {
    "raises": (lambda inner: FaultyLog(inner, raises=[RUN], after=1), "no space left"),
    "fails": (lambda inner: FaultyLog(inner, fails=[RUN], after=1), "no space left"),
    "is cancelled": (lambda inner: Cancelling(inner, after=1), "cancelled"),
}


@pytest.mark.parametrize(("answers", "refusal"), [*(("at once", name) for name in REFUSALS), ("later", "fails")])
async def test_a_window_that_is_refused_is_lost_once_and_nothing_is_published_after_it(
    answers: str, refusal: str
) -> None:
    """However the log refuses: LogLost says which events, and later ones are not even appended."""
    log, why = REFUSALS[refusal]
    writer = Writer(answers, log=log)
    writer.write()
    await turns(SETTLED)
    writer.write()
    writer.write()
    await turns(SETTLED)
    writer.write()
    await writer.end()
    await turns(SETTLED)
    assert writer.windows == [[1]]
    assert writer.log.given == [[1], [2, 3]]
    (lost,) = writer.lost
    assert isinstance(lost, LogLost)
    assert "events 2 to 3 of run run" in str(lost)
    assert why in str(lost)
    assert lost.__cause__ is None if refusal == "is cancelled" else isinstance(lost.__cause__, OSError)


@LOGS
async def test_a_window_that_nobody_could_publish_is_lost_as_well(answers: str) -> None:
    """What the end of the pipeline raises is a bug; the run does not stop without a word."""
    writer, bug = Writer(answers), ValueError("of the fold")

    def fail(event: Event) -> None:
        if event.seq == 2:
            raise bug

    writer.hear = fail
    for _ in range(3):
        writer.write()
        await turns(SETTLED)
    assert writer.windows == writer.log.given == [[1], [2]]
    assert [(type(lost), lost.__cause__) for lost in writer.lost] == [(LogLost, bug)]


async def test_a_log_that_does_not_answer_in_time_has_lost_the_window() -> None:
    """The window is lost once, and what the log answers later is not published."""
    hanging: FaultyLog | None = None

    def log(inner: Any) -> FaultyLog:
        nonlocal hanging
        hanging = FaultyLog(inner, hangs=[RUN])
        return hanging

    writer = Writer(log=log, append_timeout=0)
    writer.write()
    await writer.ended.wait()
    assert hanging is not None
    hanging.release()
    writer.write()
    await turns(SETTLED)
    assert [type(lost) for lost in writer.lost] == [LogLost]
    assert "no answer within 0 seconds" in str(writer.lost[0])
    assert writer.published == []
    assert writer.log.given == [[1]]


class Appending:
    """The appending alone, its timers on a loop whose time a test lets pass; answered by hand."""

    def __init__(self) -> None:
        self.time = VirtualClock(jumps=False)
        self.windows = Inlet[list[Event]]()
        self.futures: list[asyncio.Future[None]] = []
        self.said: list[Any] = []
        log: Any = self
        appended = self.windows.pipe(append(RunInfo(RUN, "", "flow"), log, timeout=10, clock=self.time))
        self.subscription = appended.attach(
            Callbacks(lambda window: self.said.append(len(window)), self.said.append, lambda: self.said.append("done"))
        )

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    def give(self) -> None:
        self.windows.on_next([Event(len(self.futures) + 1, RUN, "demo.said", None, b"{}")])

    async def answer(self) -> None:
        self.futures[-1].set_result(None)
        await turns(1)


async def test_each_window_has_its_own_time_though_one_timer_watches_them_all() -> None:
    """A window is not lost for the time the one before it took; one that hangs is, when its time is over."""
    appending = Appending()
    for _ in range(5):
        appending.give()
        appending.time.jump(9)
        await appending.answer()
        assert appending.time.pending <= 1
    assert appending.said == [1] * 5
    appending.give()
    appending.time.jump(9.5)
    assert appending.said == [1] * 5
    appending.time.jump(1)
    assert [type(said) for said in appending.said[5:]] == [LogLost]
    assert appending.time.pending == 0


async def test_disposal_leaves_no_timer() -> None:
    """No timer is left, also if a window is under way, whose answer is then ignored."""
    appending = Appending()
    appending.give()
    appending.subscription.dispose()
    assert appending.time.pending == 0
    await appending.answer()
    assert appending.said == []


async def test_completion_leaves_no_timer() -> None:
    """A run that has ended is held by nobody: a timer would keep all of it for as long as a log may take."""
    appending = Appending()
    appending.give()
    await appending.answer()
    appending.windows.on_completed()
    assert appending.said == [1, "done"]
    assert appending.time.pending == 0


# --- disposal -----------------------------------------------------------------------------------------------------


@LOGS
@pytest.mark.parametrize("pause", range(6))
async def test_nothing_is_appended_or_published_after_disposal(answers: str, pause: int) -> None:
    """Whenever it comes: before the window closes, while one is under way, or after it."""
    writer = Writer(answers, room=Room(max_events=2))
    for _ in range(4):
        writer.write()
    await turns(pause)
    published, given = list(writer.published), list(writer.log.given)
    writer.pipeline.dispose()
    writer.write()
    writer.write("run.completed")
    await turns(SETTLED)
    writer.pipeline.dispose()
    assert (writer.published, writer.log.given, writer.lost) == (published, given, [])


@LOGS
async def test_a_refusal_after_disposal_is_nobody_s_loss(answers: str) -> None:
    """Nobody is told, and no exception is left for the loop to complain of."""
    writer = Writer(answers, log=lambda inner: FaultyLog(inner, fails=[RUN]))
    reported = list[Any]()
    writer.loop.set_exception_handler(lambda _, context: reported.append(context))
    writer.write()
    await turns(1 if answers == "later" else 0)
    writer.pipeline.dispose()
    await turns(SETTLED)
    assert (writer.lost, writer.published, reported) == ([], [], [])


async def test_whoever_waits_for_room_is_woken_by_disposal() -> None:
    """They find out by their next word that nobody listens."""
    writer = Writer(log=lambda inner: FaultyLog(inner, hangs=[RUN]), room=Room(max_events=1))
    for _ in range(3):
        writer.write()
    await turns(2)

    async def wait() -> str:
        await writer.pipeline.wait()
        return "woken"

    waiting = asyncio.ensure_future(wait())
    await turns(2)
    assert not waiting.done()
    writer.pipeline.dispose()
    assert await waiting == "woken"


async def test_payloads_beside_events_are_let_go_once_they_are_in_the_log() -> None:
    """The log has them, so what is published need not hold them."""
    writer = Writer()
    writer.pipeline.write(Draft("demo.said", b"{}", blob=b"payload"))
    await turns(1)
    assert [event.blob for event in writer.published] == [None]
    assert await writer.memory.blob(RUN, 1) == b"payload"


@LOGS
async def test_a_pipeline_that_was_disposed_is_held_by_nobody(answers: str) -> None:
    """Neither the loop nor the scheduler that all runs share keeps a disposed pipeline."""
    writer = Writer(answers)
    writer.write()
    await turns(SETTLED)
    writer.pipeline.dispose()
    kept = weakref.ref(writer.pipeline)
    del writer
    await turns(1)
    gc.collect()
    assert kept() is None
