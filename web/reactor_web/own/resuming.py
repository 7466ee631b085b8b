"""The answers to interrupts of AG-UI: checked all together, then carried out.

``resolved`` sends its payload to the question. ``cancelled`` cancels the task that asks: what depends on it is skipped,
and the run goes on. An answer that was carried out before is harmless when it comes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson

from reactor.bounds import MAX_INLINE_BYTES
from reactor.context.checking import problem_of
from reactor.errors import EventTooLarge, InvalidValue, ReactorError, RunEnded, RunEnding, TaskEnded, WrongQuestion
from reactor.events.exact import is_same_json
from reactor.events.state import TaskState
from reactor.runs.run import Run
from reactor_web.dialects.ag_ui.quiet import Question, is_quiet, listed, questions
from reactor_web.http.agent_input import Resume
from reactor_web.http.command import carry_out

REASON = "interrupt cancelled"


class Refused(Exception):
    """An answer that cannot be given; nothing was changed by this request unless it lost a race."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


async def answer(run: Run, resumes: Sequence[Resume], by: str | None) -> bool:
    """Carries out what was not carried out before; False if there was nothing to do. Raises Refused."""
    wanted = _by_id(resumes)
    _check_complete(run, wanted)
    asked = {question.id: question for question in questions(run.feed.state)}
    fresh = {id: resume for id, resume in wanted.items() if id in asked}
    for id, resume in wanted.items():
        if id not in asked:
            await _check_repeat(run, resume)
        elif resume.status == "resolved":
            await _check_payload(asked[id], resume)
    # all at once: between two answers nothing else is written to the log
    await asyncio.gather(*[_carry_out(run, asked[id], resume, by) for id, resume in fresh.items()])
    return bool(fresh)


async def _check_payload(question: Question, resume: Resume) -> None:
    """Raises Refused for a payload that is too large, which is seen at once, and for one that does not fit."""
    id = resume.interrupt_id
    if len(orjson.dumps(resume.payload)) > MAX_INLINE_BYTES:
        raise Refused(f"the payload for interrupt {id} is above {MAX_INLINE_BYTES:,} bytes", "payload_too_large")
    if (problem := await problem_of(question.schema, resume.payload)) is not None:
        raise Refused(f"the payload for interrupt {id} does not fit: {problem}", "invalid_payload")


def _by_id(resumes: Sequence[Resume]) -> dict[str, Resume]:
    wanted: dict[str, Resume] = {}
    for resume in resumes:
        other = wanted.setdefault(resume.interrupt_id, resume)
        if other.status != resume.status or not is_same_json(other.payload, resume.payload):
            raise Refused(f"interrupt {resume.interrupt_id} has two different answers", "duplicate_interrupt")
    return wanted


def _check_complete(run: Run, wanted: dict[str, Resume]) -> None:
    """Where the run waits, all questions that it has asked for are answered together."""
    asked = [question.id for question in listed(run.feed.state)] if is_quiet(run.feed.state) else []
    missing = [id for id in asked if id not in wanted]
    if missing and len(missing) < len(asked):
        raise Refused(f"these interrupts are open, too, and need an answer: {', '.join(missing)}", "partial_resume")


async def _check_repeat(run: Run, resume: Resume) -> None:
    """Raises Refused unless the same answer was given before."""
    id = resume.interrupt_id
    task_id, _, key = id.partition("/")
    task = run.feed.state.tasks.get(task_id)
    outcome = None if task is None else _outcome(task, key)
    if task is None or outcome is None:
        raise Refused(f"there is no interrupt {id[:200]} in this thread", "unknown_interrupt")
    if resume.status == "cancelled":
        if outcome in ("expired", "withdrawn", "cancelled"):
            return  # nobody waits for it any more
        raise Refused(f"interrupt {id} is answered already", "interrupt_answered")
    if isinstance(outcome, str):
        raise Refused(f"interrupt {id} can no longer be answered: it is {outcome}", f"interrupt_{outcome}")
    event = await run.feed.event(outcome)
    if event is None or not is_same_json(event.data["value"], resume.payload):
        raise Refused(f"interrupt {id} is answered already, with another payload", "interrupt_answered")


def _outcome(task: TaskState, key: str) -> int | str | None:
    """The seq of the answer, or what else became of the question; None if the task never asked it."""
    if task.asked is not None and key in task.asked:
        return task.asked[key][1]
    answers = [seq for seq, of in task.received or () if (of or "") == key]
    if answers:
        return answers[-1]
    return "cancelled" if task.status == "cancelled" else None


async def _carry_out(run: Run, question: Question, resume: Resume, by: str | None) -> None:
    task_id = question.task_id
    try:
        if resume.status == "cancelled":
            await carry_out(run.request_cancel(task=task_id, reason=REASON, by=by))
        else:
            await carry_out(run.send(task_id, resume.payload, key=question.key, by=by))
    except InvalidValue as error:
        raise Refused(str(error), "invalid_payload") from error
    except EventTooLarge as error:
        raise Refused(str(error), "payload_too_large") from error
    except (WrongQuestion, TaskEnded, RunEnded, RunEnding) as error:
        await _check_lost(run, resume, error)


async def _check_lost(run: Run, resume: Resume, error: ReactorError) -> None:
    """Somebody was faster. Raises Refused unless it was with the same answer."""
    try:
        await _check_repeat(run, resume)
    except Refused as refused:
        raise refused from error
