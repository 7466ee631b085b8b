"""What an engine says of many runs at once: the questions that are open, and how long runs take."""

from __future__ import annotations

from collections.abc import Mapping

from reactor.runs.asked import Admits, AskedIn, KeptQuestions, QuestionPage
from reactor.runs.durations import KeptDurations, WorkflowDurations, durations_of
from reactor.runs.open_runs import OpenRuns
from reactor.waiting import methods_must_be_awaited


@methods_must_be_awaited("engine")
class RunQueries:
    """Of one tenant."""

    _runs: OpenRuns
    _asked: KeptQuestions | None = None
    """Made when somebody asks; so is the other."""
    _durations: KeptDurations | None = None

    async def questions(
        self,
        *,
        workflow: str | None = None,
        meta: Mapping[str, str] | None = None,
        before: str | None = None,
        limit: int = 100,
        admits: Admits | None = None,
    ) -> QuestionPage:
        """What nobody has answered yet in all runs: the newest run first, and of a run what was asked last.

        ``admits``: whether a run may be seen, by its id and the name of its workflow.
        """
        self._asked = self._asked or KeptQuestions()
        return await AskedIn(self._runs, self._asked, workflow, meta, admits).page(before, limit)

    async def durations(self, workflow: str, *, runs: int = 50, admits: Admits | None = None) -> WorkflowDurations:
        """How long the last ``runs`` completed runs of a workflow have taken, and each of their tasks.

        ``admits``: whether a run may be seen, by its id and the name of its workflow.
        """
        self._durations = self._durations or KeptDurations()
        return await durations_of(self._runs, self._durations, workflow, runs, admits)
