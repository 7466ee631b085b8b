"""Every operation of the routes: what it takes, and all that it may answer. A test holds this against the routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reactor_web.openapi import answers, bodies
from reactor_web.openapi.parameters import POSITIONS, STREAM

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
BATCH: Final = "application/cloudevents-batch+json"

Contents = Mapping[str, Any]
"""Media type -> the type of the body; ``str`` for a stream."""

CHANGE: Final = (403, 415)
"""Of every request that changes something: its host name is not allowed, its content type is not JSON."""
REFUSED: Final = (401, 403, 429)
"""Of every operation that is not public: who asks is not known, may not do this, or does it too often."""
CLOSED: Final = (503,)
"""The engine drains, or its log does not answer."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    id: str
    """Its name, from which generated clients make the name of a function."""
    tag: str
    summary: str
    answers: Mapping[int, Contents | None]
    """Status -> body; None: no body."""
    parameters: tuple[str, ...] = ()
    body: Contents = field(default_factory=dict[str, Any])
    problems: tuple[int, ...] = ()
    """The status of each error, told by a problem document; those of ``REFUSED`` need not be named."""
    is_public: bool = False
    """Whether it is the same for everybody, so that nobody is asked who they are."""


def _json(type: Any) -> Contents:
    return {JSON: type}


_STARTED: Final[Mapping[int, Contents | None]] = {
    200: {JSON: answers.Summary | answers.State, EVENT_STREAM: str},
    201: {JSON: answers.Summary | answers.State},
    202: _json(answers.State),
    204: None,
}
"""A run was started: its stream or its summary; with ``Prefer: wait`` its result, or 202 if it has not ended."""

_TRACE: Final = ("traceparent", "tracestate")
_START: Final = (*STREAM, "Prefer", "Idempotency-Key", *_TRACE)
_START_PROBLEMS: Final = (400, 404, 409, 410, 413, 422, *CHANGE, *CLOSED)
_COMMAND_PROBLEMS: Final = (400, 404, 409, 413, 422, *CHANGE, *CLOSED)
_READ: Final = (404, 503)


def _command(name: str, id: str, summary: str, body: Any, *parameters: str) -> Operation:
    return Operation(
        "post", f"/runs/{{id}}/{name}", id, "commands", summary, {202: _json(answers.Commanded)}, ("id", *parameters),
        _json(body), _COMMAND_PROBLEMS if "Idempotency-Key" not in parameters else (*_COMMAND_PROBLEMS, 410),
    )  # fmt: skip


def _of_schedule(name: str, id: str, summary: str) -> Operation:
    return Operation(
        "post", f"/schedules/{{schedule}}/{name}", id, "schedules", summary, {200: _json(answers.Schedule)},
        ("schedule",), _json(bodies.Nothing), (400, 404, 413, 422, *CHANGE, *CLOSED),
    )  # fmt: skip


OPERATIONS: Final = (
    Operation(
        "get", "/workflows", "listWorkflows", "workflows", "All registered workflows.",
        {200: _json(answers.WorkflowList)},
    ),
    Operation(
        "get", "/workflows/{name}", "getWorkflow", "workflows", "One workflow.",
        {200: _json(answers.Workflow)}, ("name",), problems=(404,),
    ),
    Operation(
        "get", "/workflows/{name}/durations", "getDurations", "workflows",
        "How long the last completed runs have taken, and each of their tasks.",
        {200: _json(answers.WorkflowDurations)}, ("name", "runs.durations"), problems=(400, *_READ),
    ),
    Operation(
        "post", "/workflows/{name}/runs", "startRun", "runs", "Starts a run of a workflow.",
        _STARTED, ("name", *_START), _json(bodies.StartBody), _START_PROBLEMS,
    ),
    Operation(
        "get", "/tools", "listTools", "workflows", "The tools that a plan may use.", {200: _json(answers.ToolList)},
    ),
    Operation(
        "get", "/runs", "listRuns", "runs", "A page of runs, the newest first. `meta.<key>=` selects by meta.",
        {200: _json(answers.RunPage)}, (
            "status", "workflow", "since", "until", "parent", "root", "question", "open", "recoverable", "limit",
            "cursor",
        ), problems=(400, *_READ),
    ),
    Operation(
        "get", "/questions", "listQuestions", "runs",
        "What nobody has answered yet in all runs. `meta.<key>=` selects by meta.",
        {200: _json(answers.QuestionPage)}, ("workflow", "limit.questions", "cursor"), problems=(400, *_READ),
    ),
    Operation(
        "post", "/runs", "startPlan", "runs", "Starts a run of a DAG that is data.",
        _STARTED, _START, _json(bodies.PlanBody), _START_PROBLEMS,
    ),
    Operation(
        "get", "/runs/{id}", "getRun", "runs",
        "The state of a run, now or at a seq; with a dialect what that shows of it.",
        {200: _json(answers.Run | answers.State), 304: None}, ("id", "dialect", "at"), problems=(400, 410, *_READ),
    ),
    Operation(
        "put", "/runs/{id}", "putRun", "runs",
        "Starts a run under this id, or opens a session. The same request again finds the same run.",
        _STARTED, ("id", *STREAM, "Prefer", *_TRACE), _json(bodies.PutBody), _START_PROBLEMS,
    ),
    Operation(
        "delete", "/runs/{id}", "deleteRun", "runs", "Removes a run that has ended, with all its events.",
        {204: None}, ("id",), problems=(403, 404, 409, 503),
    ),
    Operation(
        "get", "/runs/{id}/tasks/{task}/output", "getOutput", "runs", "The output of a task, however large.",
        {200: _json(Any)}, ("id", "task"), problems=_READ,
    ),
    Operation(
        "get", "/runs/{id}/events", "followRun", "events",
        "The events of a run: as they happen, or a page of them.",
        {200: {EVENT_STREAM: str, "application/x-ndjson": str, JSON: answers.EventPage, BATCH: list[dict[str, Any]]},
         204: None},
        ("id", *STREAM, "limit.events", "wait"), problems=(400, 403, 404, 406, 422, 503),
    ),
    Operation(
        "get", "/events", "followAll", "events",
        "The events of all runs in the order of the log; its cursor is a position. `meta.<key>=` selects by meta.",
        {200: {EVENT_STREAM: str, "application/x-ndjson": str, JSON: answers.EventPage, BATCH: list[dict[str, Any]]}},
        (*POSITIONS, "workflow", "parent", "runs", "limit.events", "wait"), problems=(400, 403, 406, 503),
    ),
    Operation(
        "post", "/stream-tickets", "issueTicket", "events",
        "A ticket for `?ticket=` of a stream whose client can send no header.",
        {201: _json(answers.Ticket)}, (), _json(bodies.TicketBody), (400, 413, 422, *CHANGE, *CLOSED),
    ),
    Operation(
        "post", "/runs/{id}/events", "emit", "events", "Says something in an open run.",
        {202: _json(answers.Emitted)}, ("id", "Idempotency-Key"), _json(bodies.EmitBody | list[bodies.EmitBody]),
        _COMMAND_PROBLEMS,
    ),
    Operation(
        "get", "/runs/{id}/ws", "openSocket", "events", "The events of a run and commands to it, on a WebSocket.",
        {101: None}, ("id", *STREAM), problems=(400, 403, 404, 422, 426, 503),
    ),
    _command("cancel", "cancelRun", "Cancels a run, or one task of it.", bodies.CancelBody),
    _command("pause", "pauseRun", "Starts no more tasks until the run is resumed.", bodies.ReasonBody),
    _command("resume", "resumeRun", "Goes on after a pause.", bodies.ReasonBody),
    _command("input", "sendInput", "Answers a question of a task.", bodies.InputBody, "Idempotency-Key"),
    _command(
        "retry", "retryRun", "A new run that takes over what has completed.", bodies.RetryBody, "Idempotency-Key",
        *_TRACE,
    ),
    _command("close", "closeSession", "Ends a session.", bodies.CloseBody, "Idempotency-Key"),
    Operation("get", "/whoami", "whoAmI", "service", "Who asks, and what they may do.", {200: _json(answers.Whoami)}),
    Operation(
        "get", "/schedules", "listSchedules", "schedules", "A page of schedules, by name.",
        {200: _json(answers.SchedulePage)}, ("limit", "cursor"), problems=(400, 503),
    ),
    Operation(
        "get", "/schedules/{schedule}", "getSchedule", "schedules", "One schedule.",
        {200: _json(answers.Schedule)}, ("schedule",), problems=_READ,
    ),
    Operation(
        "put", "/schedules/{schedule}", "putSchedule", "schedules", "Makes or changes a schedule.",
        {200: _json(answers.Schedule), 201: _json(answers.Schedule)}, ("schedule",), _json(bodies.ScheduleBody),
        (400, 404, 413, 422, *CHANGE, *CLOSED),
    ),
    Operation(
        "delete", "/schedules/{schedule}", "deleteSchedule", "schedules", "Removes a schedule; its runs stay.",
        {204: None}, ("schedule",), problems=(403, 404, 503),
    ),
    _of_schedule("pause", "pauseSchedule", "Starts nothing until the schedule is resumed."),
    _of_schedule("resume", "resumeSchedule", "Goes on with its next time."),
    Operation(
        "post", "/schedules/{schedule}/trigger", "triggerSchedule", "schedules", "Starts a run of it now.",
        _STARTED, ("schedule", *_START), _json(bodies.Nothing), _START_PROBLEMS,
    ),
    Operation(
        "get", "/client/{file}", "getClientFile", "service", "A module of the JavaScript client, or its types.",
        {200: {"text/javascript": str}, 304: None}, ("file",), problems=(404,), is_public=True,
    ),
    Operation(
        "get", "/healthz", "getHealth", "service", "Whether the process answers.", {200: _json(answers.Health)},
        is_public=True,
    ),
    Operation(
        "get", "/readyz", "getReadiness", "service", "Whether the engine takes runs.",
        {200: _json(answers.Readiness)}, problems=CLOSED, is_public=True,
    ),
    Operation(
        "get", "/diagnosis", "getDiagnosis", "service", "What `reactor doctor` looks at.",
        {200: _json(answers.Diagnosis)},
    ),
    Operation(
        "get", "/metrics", "getMetrics", "service", "What the server has done, and what goes on in it, for Prometheus.",
        {200: {"text/plain": str, "application/openmetrics-text": str}}, problems=(404,),
    ),
    Operation(
        "get", "/problems", "listProblems", "service", "The codes of refusals.",
        {200: {"text/plain": str, "text/html": str}}, is_public=True,
    ),
    Operation(
        "get", "/problems/{code}", "getProblem", "service", "What the code of a refusal means, and what to do.",
        {200: {"text/plain": str, "text/html": str}}, ("code",), problems=(404,), is_public=True,
    ),
    Operation(
        "get", "/openapi.json", "getOpenApi", "service", "This document.", {200: _json(dict[str, Any])}, is_public=True,
    ),
    Operation(
        "get", "/docs", "getDocs", "service", "A page that shows this document.", {200: {"text/html": str}},
        is_public=True,
    ),
)  # fmt: skip
