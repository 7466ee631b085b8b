"""``/schedules``: what starts runs at which times; make, change, pause, resume, trigger and remove one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from aiohttp import web

from reactor.bounds import SCHEDULE_NAME
from reactor.definition.names import did_you_mean
from reactor.definition.schedules import ScheduleRule
from reactor.ports.schedules import ScheduleRecord
from reactor.runs.run import Run
from reactor.schedules.deciding import next_time
from reactor_web.guard.access import needs
from reactor_web.guard.hosts import guard_change
from reactor_web.guard.principal import Scope
from reactor_web.guard.schedules import schedules_of
from reactor_web.http.body import NUMBER, OBJECT, STRING, NoBody, json_body, json_response
from reactor_web.http.command import carry_out
from reactor_web.http.parameters import Query, one
from reactor_web.http.problems import Problem
from reactor_web.http.query import page_size
from reactor_web.routes.methods import chooses_form
from reactor_web.routes.starting import answer_start, check_start

PARAMETERS: Final = ("limit", "cursor")
_MEMBERS: Final = {
    "workflow": STRING, "cron": STRING, "tz": STRING, "every": NUMBER, "input": OBJECT, "overlap": STRING,
    "catch_up": STRING,
}  # fmt: skip


def routes() -> list[web.RouteDef]:
    return [
        web.get("/schedules", list_schedules),
        web.get("/schedules/{schedule}", get_schedule),
        web.put("/schedules/{schedule}", put_schedule),
        web.delete("/schedules/{schedule}", delete_schedule),
        web.post("/schedules/{schedule}/pause", pause_schedule),
        web.post("/schedules/{schedule}/resume", resume_schedule),
        web.post("/schedules/{schedule}/trigger", trigger_schedule),
    ]


@needs(Scope.READ)
async def list_schedules(request: web.Request) -> web.Response:
    """A page, by name. ``cursor`` asks for the next page; it is null on the last one."""
    records, cursor = await schedules_of(request).page(_cursor(request.query), page_size(request.query))
    return json_response({"schedules": [_shown(request, record) for record in records], "cursor": cursor})


@needs(Scope.READ)
async def get_schedule(request: web.Request) -> web.Response:
    return json_response(_shown(request, await schedules_of(request).get(_name(request))))


@needs(Scope.RUN, Scope.CONTROL)
async def put_schedule(request: web.Request) -> web.Response:
    """Makes a schedule, 201, or gives the one of this name another rule and input, 200. It needs both scopes: it starts
    runs from now on."""
    guard_change(request)
    body = await json_body(request, _MEMBERS)
    if "workflow" not in body:
        raise Problem(422, "the body must name the workflow: {workflow, cron, tz, every, input, overlap, catch_up}")
    put = schedules_of(request).put(_name(request), body["workflow"], _rule(body), body.get("input", {}))
    record, is_new = await carry_out(put)
    return json_response(_shown(request, record), 201 if is_new else 200)


@needs(Scope.CONTROL)
async def delete_schedule(request: web.Request) -> web.Response:
    """Removes it: 204. Its runs stay."""
    guard_change(request)
    await carry_out(schedules_of(request).remove(_name(request)))
    return NoBody(status=204)


@needs(Scope.CONTROL)
async def pause_schedule(request: web.Request) -> web.Response:
    """It starts nothing until it is resumed; asked again it stays so."""
    guard_change(request)
    await json_body(request, {})
    return json_response(_shown(request, await carry_out(schedules_of(request).pause(_name(request)))))


@needs(Scope.CONTROL)
async def resume_schedule(request: web.Request) -> web.Response:
    """It goes on with its next time."""
    guard_change(request)
    await json_body(request, {})
    return json_response(_shown(request, await carry_out(schedules_of(request).resume(_name(request)))))


@needs(Scope.RUN)
@chooses_form
async def trigger_schedule(request: web.Request) -> web.StreamResponse:
    """Starts a run of it now, and answers as a start does; its times stay as they are."""
    answer, schedules, name = check_start(request), schedules_of(request), _name(request)
    await json_body(request, {})
    await schedules.get(name)  # before a key is kept
    new_id = schedules.engine.trigger_id(name)

    async def start(run_id: str | None, again: bool) -> tuple[Run, bool]:
        return await schedules.trigger(name, run_id or new_id, again)

    return await answer_start(request, answer, start, new_id)


def _name(request: web.Request) -> str:
    return request.match_info["schedule"]


def _cursor(query: Query) -> str | None:
    """The name that the page before has ended with. Raises Problem 400 also for a parameter that there is not."""
    for name in query:
        if name not in PARAMETERS:
            hint = did_you_mean(name, PARAMETERS) or f"; there are {' and '.join(PARAMETERS)}"
            raise Problem(400, f"there is no parameter {name[:50]!r} here{hint}")
    cursor = one(query, "cursor")
    if cursor is not None and not SCHEDULE_NAME.fullmatch(cursor):
        raise Problem(400, f"cursor is {cursor[:50]!r}, but must be that of the page before")
    return cursor


def _rule(body: dict[str, Any]) -> ScheduleRule:
    """Raises Problem 422."""
    try:
        every = timedelta(seconds=body["every"]) if "every" in body else None
        tz, overlap, catch_up = body.get("tz", "UTC"), body.get("overlap", "skip"), body.get("catch_up", "one")
        return ScheduleRule.of(body.get("cron"), every, tz, overlap, catch_up)
    except OverflowError:
        raise Problem(422, f"every is {body['every']!r}, but must be whole seconds of at most a year") from None
    except ValueError as error:
        raise Problem(422, str(error)) from None


def _shown(request: web.Request, record: ScheduleRecord) -> dict[str, Any]:
    """A schedule as JSON; ``next``: when it starts its next run, null while it is paused."""
    now = schedules_of(request).engine.clock.now().decode()
    return {
        "name": record.name,
        "workflow": record.workflow,
        **record.rule,
        "input": record.input,
        "owner": record.owner,
        "code": record.is_code,
        "paused": record.paused,
        "last": record.last,
        "next": next_time(record, now),
        "pending": list(record.pending),
        "last_run": record.last_run,
    }
