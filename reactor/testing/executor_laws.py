"""What every ``Executor`` must keep, as functions that raise AssertionError: an executor passes them before it is used.

A law is given an executor that is open and runs nothing, and the bodies it can run: ``DEF`` or ``ASYNC``. It leaves the
executor open and idle.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any, Final

from reactor.errors import ContextClosed
from reactor.ports.executor import Executor, Timed
from reactor.testing.attempts import RecordedVoice, Submitted, work_for
from reactor.testing.executor_bodies import ASYNC as ASYNC
from reactor.testing.executor_bodies import DEF as DEF
from reactor.testing.executor_bodies import Bodies as Bodies
from reactor.testing.executor_bodies import LawError, LawExit

# --- how a body ends ---


async def law_the_output_is_what_the_body_returns(executor: Executor, bodies: Bodies) -> None:
    """A body is called with its arguments, and ``done`` gets what it returns."""
    assert await Submitted(executor, work_for(bodies.add, left=1, right=2)).outcome() == (3, None)


async def law_a_body_is_answered_once(executor: Executor, bodies: Bodies) -> None:
    """``done`` is called once, and not inside of ``submit``."""
    first = Submitted(executor, work_for(bodies.add, left=1, right=2))
    await first.outcome()
    await Submitted(executor, work_for(bodies.add, left=3, right=4)).outcome()
    assert first.answers == [(3, None)]


async def law_what_a_body_raises_is_its_error(executor: Executor, bodies: Bodies) -> None:
    """``done`` gets the exception, of the same type and message; the next body runs."""
    for raised in (
        ValueError("no"),
        ExceptionGroup("no", [KeyError("a"), ValueError("b")]),
        LawExit("no"),
        SystemExit(3),
        KeyboardInterrupt("mine"),
        GeneratorExit("mine"),
        asyncio.CancelledError("mine"),
    ):
        error = await Submitted(executor, work_for(bodies.fail, error=raised)).error()
        assert (type(error), str(error)) == (type(raised), str(raised))
    assert await Submitted(executor, work_for(bodies.add, left=1, right=2)).output() == 3


async def law_an_exception_has_its_class_and_its_attributes(executor: Executor, bodies: Bodies) -> None:
    """Also one whose ``__init__`` takes something else than its message: ``retry_on`` looks at both."""
    error = await Submitted(executor, work_for(bodies.refuse, status=429, text="slow down")).error()
    assert isinstance(error, LawError)
    assert (str(error), error.status) == ("429: slow down", 429)


async def law_a_job_knows_when_its_body_has_ended(executor: Executor, bodies: Bodies) -> None:
    """If it is ``Timed``: a body that is late shows it, and one that is not is not late because the loop was held."""
    for seconds in (0.05, 0.0):
        began = time.monotonic()
        body = Submitted(executor, work_for(bodies.hold, seconds=seconds))
        await body.outcome()
        if isinstance(body.job, Timed):
            assert body.job.ended_at is not None
            assert began + seconds <= body.job.ended_at <= time.monotonic()


async def law_bodies_run_at_the_same_time_and_get_their_own_answers(executor: Executor, bodies: Bodies) -> None:
    """Three bodies wait at once; each gets what was answered to its own question, in whatever order."""
    voice, names = RecordedVoice(), ["a", "b", "c"]
    submitted = {name: Submitted(executor, work_for(bodies.ask, voice, question=name)) for name in names}
    await voice.until(lambda: len(voice.questions) == len(names))
    for prompt, question in reversed(voice.questions):
        question.set_result(f"to {prompt}")
    for name, body in submitted.items():
        assert await body.output() == f"to {name}"


# --- what a body says and sees ---


async def law_what_a_body_says_is_heard_in_order_and_before_its_output(executor: Executor, bodies: Bodies) -> None:
    """Nothing is lost and nothing comes after ``done``; progress may be sampled, but its last value is heard."""
    voice = RecordedVoice()
    assert await Submitted(executor, work_for(bodies.speak, voice, count=50)).output() == "said"
    said = [entry for entry in voice.heard if entry[0] != "progress"]
    assert [entry[1:] for entry in said[:50]] == [("law.number", {"number": number}) for number in range(50)]
    assert said[50:] == [("chunk", "text"), ("spend", "0.5", 3, "spend")]
    assert ("progress", 1.0) in voice.heard


async def law_progress_is_heard_before_what_is_said_after_it(executor: Executor, bodies: Bodies) -> None:
    """Of several values in a row only the last one need be heard, and that before anything else that is said."""
    voice, count = RecordedVoice(), 20
    await Submitted(executor, work_for(bodies.report, voice, count=count)).output()
    heard = [entry for entry, then in pairwise([*voice.heard, ("end",)]) if not entry[0] == then[0] == "progress"]
    expected: list[tuple[Any, ...]] = []
    for number in range(count):
        expected += [("progress", (2 * number + 1) / (2 * count)), ("emit", "law.number", {"number": number})]
    assert heard == [*expected, ("progress", 1.0), ("spend", "0", 1, "spend")]


async def law_emit_waits_for_room(executor: Executor, bodies: Bodies) -> None:
    """While the window is full a body is held in ``emit``: that is the backpressure."""
    voice = RecordedVoice()
    voice.room = room = voice.loop.create_future()
    body = Submitted(executor, work_for(bodies.speak, voice, count=3))
    await voice.until(lambda: voice.heard)
    await Submitted(executor, work_for(bodies.add, left=1, right=2)).output()
    assert len(voice.heard) == 1
    assert not body.has_ended
    room.set_result(None)
    assert await body.output() == "said"


async def law_a_body_sees_its_attempt(executor: Executor, bodies: Bodies) -> None:
    """``ctx`` has the fields of the Attempt."""
    voice = RecordedVoice()
    work = work_for(bodies.describe, voice)
    assert work.attempt is not None
    assert await Submitted(executor, work).output() == {
        "run_id": work.attempt.run_id,
        "task_id": work.attempt.task_id,
        "attempt": work.attempt.attempt,
        "map_index": work.attempt.map_index,
        "input": work.attempt.input,
        "meta": work.attempt.meta,
        "upstream": work.attempt.upstreams["before"].output,
    }


async def law_an_answer_may_be_an_exception(executor: Executor, bodies: Bodies) -> None:
    """What the engine raises for a question is raised in the body."""
    voice = RecordedVoice()
    body = Submitted(executor, work_for(bodies.ask, voice, question="?"))
    await voice.until(lambda: voice.questions)
    voice.questions[0][1].set_exception(LookupError("no more"))
    error = await body.error()
    assert isinstance(error, LookupError)
    assert str(error) == "no more"


async def law_a_closed_voice_raises_in_the_body(executor: Executor, bodies: Bodies) -> None:
    """Once the attempt has ended, whatever the body says raises ContextClosed there."""
    voice = RecordedVoice()
    voice.is_closed = True
    error = await Submitted(executor, work_for(bodies.speak, voice, count=1)).error()
    assert isinstance(error, ContextClosed)
    assert (error.run_id, error.task_id) == ("r", "t")


# --- stopping ---


async def law_a_cancel_lets_go_of_a_body_that_waits(executor: Executor, bodies: Bodies) -> None:
    """A body that waits for an answer is woken by an exception, and its question is cancelled."""
    voice = RecordedVoice()
    body = Submitted(executor, work_for(bodies.ask, voice, question="?"))
    await voice.until(lambda: voice.questions)
    body.job.cancel()
    assert isinstance(await body.error(), (asyncio.CancelledError, ContextClosed))
    assert voice.questions[0][1].cancelled()


async def law_a_body_is_told_to_stop(executor: Executor, bodies: Bodies) -> None:
    """After ``cancel`` the body finds ``ctx.cancelled`` true, and ``saw_cancel`` says that it looked."""
    voice = RecordedVoice()
    body = Submitted(executor, work_for(bodies.stop, voice))
    await voice.until(lambda: voice.heard)
    assert not body.job.saw_cancel
    body.job.cancel()
    output, error = await body.outcome()
    assert output == "stopped" or isinstance(error, asyncio.CancelledError), (output, error)
    assert body.job.saw_cancel


async def law_a_body_that_is_cancelled_at_once_is_answered_once(executor: Executor, bodies: Bodies) -> None:
    """Whether it had begun or not; not inside of ``cancel``, and the next body runs."""
    body = Submitted(executor, work_for(bodies.add, left=1, right=2))
    body.job.cancel()
    assert not body.has_ended, "done was called inside of cancel"
    output, error = await body.outcome()
    assert output == 3 or isinstance(error, asyncio.CancelledError)
    assert await Submitted(executor, work_for(bodies.add, left=3, right=4)).output() == 7
    assert len(body.answers) == 1


async def law_stopping_a_body_that_has_ended_does_nothing(executor: Executor, bodies: Bodies) -> None:
    """``cancel`` and ``abandon`` after the answer raise nothing and answer nothing."""
    body = Submitted(executor, work_for(bodies.add, left=1, right=2))
    await body.outcome()
    body.job.cancel()
    body.job.abandon()
    assert await Submitted(executor, work_for(bodies.add, left=3, right=4)).output() == 7
    assert body.answers == [(3, None)]


async def law_an_abandoned_body_is_never_answered(executor: Executor, bodies: Bodies) -> None:
    """Neither at once nor where it goes on and ends; ``abandon`` is true only where it is gone. The next body runs."""
    voice = RecordedVoice()
    body = Submitted(executor, work_for(bodies.ask, voice, question="?"))
    await voice.until(lambda: voice.questions)
    is_gone = body.job.abandon()
    question = voice.questions[0][1]
    if not is_gone:
        question.set_result("late")
        await voice.until(lambda: "law.asked" in voice.types())
    assert await Submitted(executor, work_for(bodies.add, left=1, right=2)).output() == 3
    assert "law.asked" not in voice.types() or not is_gone
    assert body.answers == []


# --- what is left behind ---


async def law_a_context_is_closed_after_its_body(executor: Executor, bodies: Bodies) -> None:
    """What was left behind of a body is not heard during the next one."""
    voice = RecordedVoice()
    await Submitted(executor, work_for(bodies.keep, voice)).output()
    voice.is_closed = True  # as the engine does with the end of an attempt
    assert await Submitted(executor, work_for(bodies.use_kept)).output() == "closed"
    assert voice.heard == []


Law = Callable[[Executor, Bodies], Awaitable[None]]

LAWS: Final[tuple[Law, ...]] = (
    law_the_output_is_what_the_body_returns,
    law_a_body_is_answered_once,
    law_what_a_body_raises_is_its_error,
    law_an_exception_has_its_class_and_its_attributes,
    law_a_job_knows_when_its_body_has_ended,
    law_bodies_run_at_the_same_time_and_get_their_own_answers,
    law_what_a_body_says_is_heard_in_order_and_before_its_output,
    law_progress_is_heard_before_what_is_said_after_it,
    law_emit_waits_for_room,
    law_a_body_sees_its_attempt,
    law_an_answer_may_be_an_exception,
    law_a_closed_voice_raises_in_the_body,
    law_a_cancel_lets_go_of_a_body_that_waits,
    law_a_body_is_told_to_stop,
    law_a_body_that_is_cancelled_at_once_is_answered_once,
    law_stopping_a_body_that_has_ended_does_nothing,
    law_an_abandoned_body_is_never_answered,
    law_a_context_is_closed_after_its_body,
)
"""All of them, for ``pytest.mark.parametrize``."""
