"""What a client does with schedules: the methods of ``Engine``, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from reactor.definition.schedules import CatchUp, Overlap, ScheduleRule, schedule_name_problem
from reactor.definition.workflow import Workflow
from reactor.errors import UnknownSchedule
from reactor.ports.schedules import ScheduleRecord
from reactor_web.client.answer import Answered
from reactor_web.client.connection import Connection
from reactor_web.client.followed import Followed
from reactor_web.client.run import RemoteRun
from reactor_web.client.starting import start_body

PAGE = 1_000
"""Schedules in one answer."""


class ScheduleCalls:
    """Makes, changes and finds the schedules of a server."""

    connection: Connection

    async def schedule(
        self,
        workflow: Workflow | str,
        cron: str | None = None,
        *,
        every: timedelta | None = None,
        tz: str = "UTC",
        input: Mapping[str, Any] | None = None,
        name: str | None = None,
        overlap: Overlap = "skip",
        catch_up: CatchUp = "one",
    ) -> ScheduleRecord:
        """Starts runs of a workflow of the server at the times of a rule; the options are those of ``engine.schedule``.

        Raises UnknownWorkflow, InputError, EngineClosed, and TypeError or ValueError for what is not valid.
        """
        rule = ScheduleRule.of(cron, every, tz, overlap, catch_up)
        given = start_body(workflow, input, None, None)
        named: str = given["workflow"] if name is None else name
        if (problem := schedule_name_problem(named)) is not None:
            raise ValueError(f"the name of a schedule {problem}")
        return _record((await self.connection.ask("PUT", _path(named), body={**given, **rule.as_json()})).json)

    async def schedules(self) -> list[ScheduleRecord]:
        """All schedules, by name."""
        found, cursor = list[ScheduleRecord](), None
        while True:
            query = {"limit": str(PAGE), "cursor": cursor}
            page = (await self.connection.ask("GET", "/schedules", query=query)).json
            try:
                found += [_record(Answered("/schedules", 200, one)) for one in page["schedules"]]
            except TypeError as error:
                raise page.refused("what is not a list of schedules") from error
            cursor = page["cursor"]
            if cursor is None:
                return found

    async def get_schedule(self, name: str) -> ScheduleRecord:
        """Raises UnknownSchedule."""
        return _record((await self.connection.ask("GET", _path(name))).json)

    async def pause_schedule(self, name: str) -> ScheduleRecord:
        """It starts nothing until it is resumed. Raises UnknownSchedule."""
        return _record((await self.connection.ask("POST", f"{_path(name)}/pause", body={})).json)

    async def resume_schedule(self, name: str) -> ScheduleRecord:
        """It goes on with its next time. Raises UnknownSchedule."""
        return _record((await self.connection.ask("POST", f"{_path(name)}/resume", body={})).json)

    async def trigger_schedule(self, name: str) -> RemoteRun:
        """Starts a run of it now; its times stay as they are. Raises UnknownSchedule, and what ``start`` raises."""
        answer = (await self.connection.ask("POST", f"{_path(name)}/trigger", body={})).json
        followed = Followed(answer["run_id"], self.connection)
        followed.tell(answer)
        return RemoteRun(followed)

    async def remove_schedule(self, name: str) -> None:
        """Its runs stay. Raises UnknownSchedule."""
        answer = await self.connection.answer("DELETE", _path(name))
        error = answer.error
        if error is not None and not (answer.was_lost and isinstance(error, UnknownSchedule)):
            raise error


def _path(name: str) -> str:
    return f"/schedules/{quote(name, safe='')}"


def _record(body: Answered) -> ScheduleRecord:
    """A schedule as the server tells it. It does not say the tenant, which is that of the client."""
    rule = {key: body[key] for key in ("cron", "tz", "every", "overlap", "catch_up") if key in body}
    return ScheduleRecord(
        body["name"], "", body["workflow"], rule, body["input"], body["owner"], body["code"], body["last"],
        body["paused"], tuple(body["pending"]), body["last_run"],
    )  # fmt: skip
