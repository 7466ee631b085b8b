"""Pure functions from the evidence to the faults in it: one sentence for each. The numbers are those of the rules.

A body may run again only where the rules allow it: what a life did that is not in the log at its end is lost with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import orjson

from reactor import Event
from reactor.events.fold import replay
from reactor.events.vocabulary import TASK_ENDS, TERMINAL
from tests.crash.evidence import Evidence
from tests.crash.oracle import DONE, Line
from tests.helpers.crash import check_laws

Body = tuple[str, str]
"""A run and a task of it."""
Attempt = tuple[str, str, int]


def holes(evidence: Evidence) -> Iterator[str]:
    """The events of each run are numbered from 1 without a hole, and it is as every run that has ended must be."""
    for run, events in evidence.events.items():
        seqs = [event.seq for event in events]
        if seqs != list(range(1, len(seqs) + 1)):
            yield f"{run}: its seqs are not 1 to {len(seqs)}: {_first_wrong(seqs)}"
        elif events[-1].type not in TERMINAL:
            yield f"{run} has not ended: {events[-1]!r}"
        else:
            try:
                check_laws(events)
            except AssertionError as broken:
                yield f"{run}: {broken}"


def _first_wrong(seqs: list[int]) -> str:
    return next((f"{seq} stands in place {place}" for place, seq in enumerate(seqs, 1) if seq != place), "")


def repeated(evidence: Evidence) -> Iterator[str]:
    """No body runs once its end is in the log (1, 22, 23), no start has the number of one that is in the log (22), and
    in one life of the process each effect of an attempt happens once. A process that stood still for longer than its
    log may take has lost its runs, and takes them up again in the same life (4, 41).
    """
    frozen = {end.life for end in evidence.ends if end.how == "frozen"}
    ends = dict(_final_ends(evidence))
    starts = _starts(evidence)
    last: dict[tuple[object, ...], int] = {}
    for line in evidence.lines:
        body = line.run, line.task
        if line.life > ends.get(body, line.life):
            yield f"{line} although its end was in the log after life {ends[body]}"
        before = [attempt for attempt, life in starts.get(body, {}).items() if life < line.life]
        if before and line.attempt <= max(before):
            yield f"{line} although attempt {max(before)} was in the log before that life"
        if last.get(line[1:6], 0) == line.life and line.life not in frozen:
            yield f"{line} is there twice"
        last[line[1:6]] = line.life


def _final_ends(evidence: Evidence) -> Iterator[tuple[Body, int]]:
    """Of each body, the life in whose log it had ended, and would not run again.

    One whose output the log cannot give back may run as long as a task that needs it has not ended (23).
    """
    for run, events in evidence.events.items():
        ended: dict[str, int] = {}
        lost: set[str] = set()
        for event, life in zip(events, evidence.lives[run], strict=True):
            if event.type in TASK_ENDS and event.task_id is not None:
                if not event.data.get("recoverable", True):
                    lost.add(event.task_id)
                    ended[event.task_id] = life
                ended.setdefault(event.task_id, life)  # a second end of any other is wrong itself
        for task, life in ended.items():
            needed = [ended.get(other, life) for other in _needing(events[0], task)] if task in lost else []
            yield (run, task), max([life, *needed])


def _needing(started: Event, name: str) -> list[str]:
    return [task["id"] for task in started.data["tasks"] if name in task["depends_on"]]


def _starts(evidence: Evidence) -> dict[Body, dict[int, int]]:
    """Of each body, the life in which each attempt was committed."""
    found: dict[Body, dict[int, int]] = {}
    for run, events in evidence.events.items():
        for event, life in zip(events, evidence.lives[run], strict=True):
            if event.type == "task.started" and event.task_id is not None and event.attempt is not None:
                found.setdefault((run, event.task_id), {})[event.attempt] = life
    return found


def overlapping(evidence: Evidence) -> Iterator[str]:
    """A body of an earlier life does nothing any more once the same body runs in a later one."""
    latest: dict[Body, int] = {}
    for line in evidence.lines:
        life = latest.get((line.run, line.task), 0)
        if line.life < life:
            yield f"{line} after the same task ran in life {life}"
        latest[line.run, line.task] = max(life, line.life)


def unstarted(evidence: Evidence) -> Iterator[str]:
    """What ran in a life that ended cleanly is in the log (28): a crash alone may lose a start."""
    clean = {end.life for end in evidence.ends if end.is_clean}
    starts = _starts(evidence)
    for line in evidence.lines:
        if line.life in clean and line.attempt not in starts.get((line.run, line.task), {}):
            yield f"{line} in a life that ended cleanly, and its start is not in the log"


def undone(evidence: Evidence) -> Iterator[str]:
    """What the log says has completed has happened (1): the body noted as done what the log has as its output."""
    done = {
        (line.run, line.task, line.attempt): line.value
        for line in evidence.lines
        if line.step == DONE and line.when == "after"
    }
    for run, events in evidence.events.items():
        for event in events:
            if event.type != "task.completed" or event.attempt is None or event.data["cached"]:
                continue
            place = run, event.task_id or "", event.attempt
            if place not in done and "output" in event.data and event.data["output"] is None:
                continue  # of a body that returns nothing, which notes no end
            if place not in done:
                yield f"{run}: {event!r} although its body never noted that it was done"
            elif event.data.get("recoverable", True) and event.data.get("output") != done[place]:
                yield f"{run}: {event!r} has another output than its body noted: {done[place]!r}"


def taken_over(evidence: Evidence) -> Iterator[str]:
    """What a retried run took over does not run in the new one."""
    ran = {(line.run, line.task) for line in evidence.lines}
    for run, events in evidence.events.items():
        for event in events:
            if event.type == "task.completed" and event.data["cached"] and (run, event.task_id) in ran:
                yield f"{run}: {event!r} was taken over, and its body ran"


def uncommitted(evidence: Evidence) -> Iterator[str]:
    """After ``await ctx.committed()`` everything said before it is in the log (1)."""
    said = {
        (run, event.data["saying"])
        for run, events in evidence.events.items()
        for event in events
        if event.type == "crash.said" and "saying" in event.data
    }
    for line in evidence.lines:
        if line.step.startswith("committed:") and (line.run, line.value) not in said:
            yield f"{line} was committed, and is not in the log"


def asked_again(evidence: Evidence) -> Iterator[str]:
    """A question that is answered is not asked again (24, 31), has one answer, and every attempt is given that one."""
    for run, events in evidence.events.items():
        answers: dict[tuple[str, str], Any] = {}
        for event in events:
            key = event.task_id or "", str(event.data.get("key"))
            if event.type == "task.received":
                if key in answers:
                    yield f"{run}: {event!r} is a second answer"
                answers[key] = event.data["value"]
            elif event.type == "task.waiting" and key in answers and "answered" not in event.data:
                yield f"{run}: {event!r} was answered before"
        for line in evidence.lines:
            kind, _, key = line.step.partition(":")
            if line.run == run and kind == "answer" and answers.get((line.task, key), line) != line.value:
                yield f"{line} got another answer than {answers.get((line.task, key))!r}"


def children(evidence: Evidence) -> Iterator[str]:
    """A child run starts once, ends once for its parent, and that is told as the child itself says it (24, 36)."""
    counted = Counter[tuple[str, str, str]]()
    for run, events in evidence.events.items():
        tenant = run.partition("/")[0]
        for event in events:
            if not event.type.startswith("child."):
                continue
            child = f"{tenant}/{event.data['child_run']}"
            counted[run, child, event.type] += 1
            if counted[run, child, event.type] > 1:
                yield f"{run}: {event!r} is there twice"
            own = evidence.events.get(child, [])
            if event.type == "child.ended":
                yield from _child_ended(run, event, own)
            elif own and own[0].data.get("parent") != {"run_id": run.partition("/")[2], "task_id": event.task_id}:
                yield f"{child} has another parent than {run}: {own[0]!r}"


def _child_ended(run: str, ended: Event, own: list[Event]) -> Iterator[str]:
    if not own or own[-1].type != f"run.{ended.data['status']}":
        yield f"{run}: {ended!r}, and its own last event is {own[-1:]!r}"
        return
    last = own[-1].data
    for name, without in (("outputs", None), ("cost", 0.0), ("tokens", 0)):
        if ended.data.get(name, without) != last.get(name, without):
            yield f"{run}: {ended!r} has other {name} than {own[-1]!r}"


def money(evidence: Evidence) -> Iterator[str]:
    """What the log says was spent was paid, all that a completed attempt paid is in the log, and a parent has what its
    children have.
    """
    paid, paid_at_last = _paid(evidence)
    for run, events in evidence.events.items():
        told = Counter[tuple[str, str, int]]()
        below: dict[str, Decimal] = {}
        for event in events:
            body = run, event.task_id or "", event.attempt or 0
            if event.type == "task.spent" and event.data["source"] == "child":
                cost = Decimal(repr(event.data["cost"]))
                below[event.data["child_run"]] = below.get(event.data["child_run"], Decimal(0)) + cost
            elif event.type == "task.spent":
                told[body] += 1
            elif event.type == "task.completed" and not event.data["cached"] and told[body] < paid_at_last[body]:
                yield f"{run}: {event!r} paid {paid_at_last[body]} times, and the log has {told[body]}"
        for body in told:
            if told[body] > paid[body]:
                yield f"{body} paid {paid[body]} times, and the log has {told[body]}"
        yield from _below(evidence, run, below)


def _paid(evidence: Evidence) -> tuple[Counter[Attempt], Counter[Attempt]]:
    """How often each attempt has paid, in all lives and in its last one: an attempt whose start was lost with the
    process runs again under its number.
    """
    paid, at_last = Counter[Attempt](), Counter[Attempt]()
    frozen = {end.life for end in evidence.ends if end.how == "frozen"}
    last: dict[Attempt, int] = {}
    for line in evidence.lines:
        body = line.run, line.task, line.attempt
        if last.get(body) != line.life:
            last[body], at_last[body] = line.life, 0
        if line.step.startswith("pay:"):
            paid[body] += 1
            at_last[body] += line.life not in frozen
    return paid, at_last


def _below(evidence: Evidence, run: str, below: dict[str, Decimal]) -> Iterator[str]:
    """A child that has ended for its parent has cost it exactly what the child says."""
    for event in evidence.events[run]:
        if event.type == "child.ended":
            cost = below.get(event.data["child_run"], Decimal(0))
            if cost != Decimal(repr(event.data["cost"])):
                yield f"{run}: {event!r}, and what was counted for it is {cost}"


def unanswered(evidence: Evidence) -> Iterator[str]:
    """What a command was answered is in the log (2), and what was sent again under one key is there once."""
    for answer in evidence.answers:
        if answer.status not in (200, 201, 202):
            if answer.status != 409:  # it came after the end
                yield f"{answer} is no answer to such a command"
            continue
        run = f"{answer.tenant}/{answer.said['run_id']}"
        events = evidence.events.get(run, [])
        found = [event for event in events if _records(answer, event)]
        if not found:
            yield f"{answer}, and the log has nothing of it"
        elif answer.command in _ONCE and len(found) > _ONCE[answer.command](answer.body):
            yield f"{answer}, and the log has it {len(found)} times"
        elif answer.command == "events" and [event.seq for event in found] != answer.said["seqs"]:
            yield f"{answer}, and the log has it as {[event.seq for event in found]}"
        elif evidence.lives[run][found[0].seq - 1] > answer.life:
            yield f"{answer}, and it was not in the log at the end of that life"


def _records(answer: Any, event: Event) -> bool:
    """Whether the event is what this command leaves in the log."""
    body, data = answer.body, event.data
    match answer.command:
        case "start" | "retry":
            return event.type == "run.started"
        case "input":
            mine = event.run_id == body.get("run", answer.path.split("/")[2])
            return mine and event.type == "task.received" and data["value"] == body["value"]
        case "events":
            return orjson.loads(event.json).get("idempotency_key") == answer.key
        case "pause" | "resume" | "cancel":
            return event.type == _OF_COMMAND[answer.command] and data["reason"] == body["reason"]
        case _:
            return event.type in TERMINAL


_OF_COMMAND = {"pause": "run.paused", "resume": "run.resumed", "cancel": "run.cancelling"}
_ONCE = {"start": lambda body: 1, "retry": lambda body: 1, "input": lambda body: 1, "events": len, "close": lambda _: 1}
"""How many events a command may leave."""


def unfolded(evidence: Evidence) -> Iterator[str]:
    """What ``GET`` says of a run is the fold of its events (11)."""
    for run, events in evidence.events.items():
        state = orjson.loads(orjson.dumps(replay(events[0].run_id, events).to_dict()))
        said = evidence.states.get(run, {})
        for name, value in state.items():
            if said.get(name) != value:
                yield f"GET of {run} says {name} = {said.get(name)!r}, and its events {value!r}"


def otherwise(evidence: Evidence) -> Iterator[str]:
    """A run ends as it would have without a crash. A cancel whose answer was lost may have been carried out."""
    stopped = {
        answer.run
        for answer in evidence.answers
        if answer.command == "cancel" and (answer.status == 202 or answer.tries > 1)
    }
    for run, events in evidence.events.items():
        first, last = events[0].data, events[-1]
        expected = _ENDS.get(first.get("workflow", ""), "run.completed")
        may = {expected, "run.cancelled"} if run in stopped else {expected}
        if last.type not in may or (expected == "run.failed" and last.data.get("reason") != "budget"):
            yield f"{run} of {first.get('workflow')} ended with {last!r}: {last.data}"


_ENDS = {"spends": "run.failed", "endless": "run.cancelled"}


def again(lines: Iterable[Line]) -> int:
    """How many bodies ran once more than their attempts: in another life, under the same number or the next."""
    lives: dict[Body, set[int]] = {}
    for line in lines:
        lives.setdefault((line.run, line.task), set()).add(line.life)
    return sum(len(found) - 1 for found in lives.values())
