"""The part of a ``Client`` that asks about many runs at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from reactor.requests import check_listing
from reactor.runs.asked import OpenQuestion, QuestionPage
from reactor.runs.durations import Durations, RunDuration, WorkflowDurations
from reactor.waiting import methods_must_be_awaited
from reactor_web.client.connection import Connection

MAX_QUESTIONS = 200
"""Questions in one answer."""


@methods_must_be_awaited("client")
class Asking:
    """What there is to run, what is asked, and how long runs take."""

    connection: Connection

    async def questions(
        self,
        *,
        workflow: str | None = None,
        meta: Mapping[str, str] | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> QuestionPage:
        """What nobody has answered yet in all runs: the newest run first, and of a run what was asked last.

        ``workflow``, ``meta``: only of runs that ``list`` would give for them. ``before``: the ``cursor`` of the page
        before. Raises ValueError for a ``limit`` below 1, RequestRefused for a ``before`` that is no cursor,
        UnknownRun where its run is gone.
        """
        check_listing(None, limit, meta=meta)
        asked = {"workflow": workflow, **{f"meta.{name}": text for name, text in (meta or {}).items()}}
        found: list[OpenQuestion] = []
        while True:
            query = {**asked, "cursor": before, "limit": str(min(MAX_QUESTIONS, limit - len(found)))}
            page = (await self.connection.ask("GET", "/questions", query=query)).json
            try:
                found += map(_question, page["questions"])
            except (KeyError, TypeError, AttributeError) as error:
                raise page.refused("what is not a list of questions") from error
            before = page["cursor"]
            if before is None or len(found) >= limit:
                return QuestionPage(found, before)

    async def workflows(self) -> Mapping[str, dict[str, Any]]:
        """The definitions of the registered workflows by name: ``{name, version, tasks, input_schema, …}``."""
        return await self._named("workflows")

    async def tools(self) -> Mapping[str, dict[str, Any]]:
        """The descriptions of the tools that a plan may use, by name."""
        return await self._named("tools")

    async def _named(self, what: str) -> dict[str, dict[str, Any]]:
        answer = (await self.connection.ask("GET", f"/{what}")).json
        try:
            return {one["name"]: one for one in answer[what]}
        except (KeyError, TypeError) as error:
            raise answer.refused(f"what is not a list of {what}") from error

    async def durations(self, workflow: str, *, runs: int = 50) -> WorkflowDurations:
        """How long the last ``runs`` completed runs of a workflow have taken, and each of their tasks, in seconds.

        Raises UnknownWorkflow, and RequestRefused for ``runs`` that is not 1 to 200.
        """
        path = f"/workflows/{quote(workflow, safe='')}/durations"
        answer = (await self.connection.ask("GET", path, query={"runs": str(runs)})).json
        try:
            return WorkflowDurations(
                answer["workflow"],
                [RunDuration(**one) for one in answer["runs"]],
                None if answer["run"] is None else Durations(**answer["run"]),
                {id: Durations(**taken) for id, taken in answer["tasks"].items()},
            )
        except (TypeError, AttributeError) as error:
            raise answer.refused("what is not the durations of runs") from error


def _question(asked: dict[str, Any]) -> OpenQuestion:
    members: dict[str, Any] = {"expires": None}
    return OpenQuestion(**members | {name: asked[name] for name in OpenQuestion._fields if name in asked})
