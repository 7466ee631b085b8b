"""Who may ask what: every route, everybody who asks, and what each is answered.

``docs/security.md`` has the table between two marks: ``python -m tests.web.guard.who_may``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.helpers.paths import ROOT

PAGE: Final = ROOT / "docs" / "security.md"
BEGIN: Final = "<!-- who may: made by python -m tests.web.guard.who_may -->"
END: Final = "<!-- who may: end -->"

READ, RUN, CONTROL, ADMIN = "read", "run", "control", "admin"
SCOPES: Final = (READ, RUN, CONTROL, ADMIN)
NOBODY: Final = ("none", "wrong", "expired", "revoked")
"""Whose credential does not say who they are."""
LIMITED: Final = ("foreign", "other runs", "other workflows")
"""Who has all scopes, but for another tenant, for other runs, for other workflows."""
EVERYBODY: Final = (*NOBODY, *SCOPES, "all", *LIMITED, "ticket")

NOT_FOUND: Final = "404"
BAD_SCOPE: Final = "403 forbidden-scope"
BAD_RUN: Final = "403 forbidden-run"
BAD_WORKFLOW: Final = "403 forbidden-workflow"
NO_TICKET: Final = "401 ticket-invalid"


@dataclass(frozen=True)
class Ask:
    """One route, or one way to ask it."""

    method: str
    path: str
    """Below the prefix; of a route of one's own below ``/own``."""
    scopes: Sequence[str] = ()
    """None: it is public."""
    ok: int = 200
    target: str = ""
    """The kind of run that it is about; empty: none."""
    body: Callable[[str], Any] | None = None
    """The JSON of a request about the run of this id."""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    foreign: str = ""
    """What is answered to who asks for another tenant; empty: as usual, for it is about what they have themselves."""
    runs: str = ""
    """To who sees other runs only."""
    workflows: str = ""
    """To who sees other workflows only."""
    ticket: bool = False
    """A ticket for this stream opens it."""
    of_all: bool = False
    """It is about all tenants at once: who is of one tenant, as everybody here is, may not."""

    @property
    def name(self) -> str:
        shown = [f"{name}: {value}" for name, value in self.headers.items() if name != "Upgrade"]
        return " ".join([self.method, self.path + self.query, *shown])

    def answer(self, who: str) -> str:
        """The status and the code that somebody is answered."""
        if not self.scopes:
            return str(self.ok)
        if who in NOBODY:
            return "401"
        if who in SCOPES and set(self.scopes) != {who}:
            return BAD_SCOPE
        if who == "ticket" and not self.ticket:
            return BAD_SCOPE if self.query == _CANCELS else NO_TICKET
        if self.of_all:
            return BAD_SCOPE
        limited = {"foreign": self.foreign, "other runs": self.runs, "other workflows": self.workflows}
        return limited.get(who, "") or str(self.ok)


def _says(body: Any) -> Callable[[str], Any]:
    """The same body, whatever the run."""
    return lambda _: body


def _of_run(method: str, path: str, scopes: Sequence[str], ok: int, target: str, **more: Any) -> Ask:
    """A route of which one has to see the run."""
    return Ask(method, path, scopes, ok, target, foreign=NOT_FOUND, runs=BAD_RUN, workflows=NOT_FOUND, **more)


def _start(method: str, path: str, ok: int, body: Callable[[str], Any], *, shows: bool = False, **more: Any) -> Ask:
    """A route that starts a run. ``shows``: and is answered with what happens in it."""
    scopes = (READ, RUN) if shows else (RUN,)
    return Ask(method, path, scopes, ok, "new", body, runs=BAD_RUN, workflows=BAD_WORKFLOW, **more)


def _of_schedule(method: str, path: str, scopes: Sequence[str], ok: int, **more: Any) -> Ask:
    """A route about the schedule ``nightly`` of the workflow ``small``."""
    return Ask(
        method, path, scopes, ok, "schedule", foreign=NOT_FOUND, runs=BAD_RUN, workflows=NOT_FOUND, **more
    )  # fmt: skip


def _plan(_: str) -> Any:
    return {"name": "plan", "tasks": [{"id": "a", "tool": "world.upper", "input": {"text": "x"}}]}


def _message(id: str) -> Any:
    message: dict[str, Any] = {"id": "m1", "role": "user", "parts": []}
    return {"id": id, "messages": [message], "trigger": "submit-message"}


def _agent(id: str) -> Any:
    message = {"id": "m1", "role": "user", "content": "hello"}
    empty: dict[str, Any] = {"state": {}, "tools": [], "context": [], "forwardedProps": {}}
    given: dict[str, Any] = {"threadId": id, "runId": "r1", "messages": [message], **empty}
    return given


STREAM: Final = {"Accept": "text/event-stream"}
UPGRADE: Final = {
    "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip
_CANCELS: Final = "?on_disconnect=cancel"
_SMALL: Final = "/workflows/small/runs"

OF_THE_API: Final = (
    Ask("GET", "/workflows", (READ,)),
    Ask("GET", "/workflows/{name}", (READ,), workflows=BAD_WORKFLOW),
    Ask("GET", "/workflows/{name}/durations", (READ,), workflows=BAD_WORKFLOW),
    Ask("GET", "/tools", (READ,)),
    Ask("GET", "/runs", (READ,)),
    Ask("GET", "/questions", (READ,)),
    _of_run("GET", "/runs/{id}", (READ,), 200, "open"),
    _of_run("GET", "/runs/{id}", (READ,), 200, "ended", query="?dialect=agents"),
    _of_run("GET", "/runs/{id}", (READ,), 200, "ended", query="?at=1"),
    _of_run("GET", "/runs/{id}/tasks/{task}/output", (READ,), 200, "ended"),
    _of_run("GET", "/runs/{id}/events", (READ,), 200, "open", headers=STREAM, ticket=True),
    _of_run("GET", "/runs/{id}/events", (READ,), 200, "ended", headers={"Accept": "application/json"}, ticket=True),
    _of_run("GET", "/runs/{id}/events", (READ, CONTROL), 200, "open", headers=STREAM, query=_CANCELS),
    Ask(
        "GET", "/runs/{id}/events", (READ,), 200, "open", headers=STREAM, query="?children=1",
        foreign=NOT_FOUND, runs=BAD_RUN, workflows=NOT_FOUND, ticket=True,
    ),
    _of_run("GET", "/runs/{id}/ws", (READ,), 101, "open", headers=UPGRADE, ticket=True),
    Ask("GET", "/events", (READ,), headers=STREAM, ticket=True),
    Ask("GET", "/events", (READ,), headers={"Accept": "application/json"}, ticket=True),
    _start("POST", "/workflows/{name}/runs", 201, _says({"input": {}})),
    _start("POST", "/workflows/{name}/runs", 200, _says({"input": {}}), shows=True, headers=STREAM),
    _start("POST", "/workflows/{name}/runs", 201, _says({"input": {}}), shows=True, headers={"Prefer": "wait=9"}),
    _start("POST", "/workflows/{name}/runs", 201, _says({"input": {}}), headers={"Idempotency-Key": "once"}),
    _start("POST", "/runs", 201, _plan),
    _start("POST", "/runs", 201, _plan, headers={"Idempotency-Key": "once-plan"}),
    _start("PUT", "/runs/{id}", 201, _says({"workflow": "small"})),
    _start("PUT", "/runs/{id}", 201, _says({"session": True})),
    _of_run("POST", "/runs/{id}/cancel", (CONTROL,), 202, "open", body=_says({})),
    _of_run("POST", "/runs/{id}/pause", (CONTROL,), 202, "open", body=_says({})),
    _of_run("POST", "/runs/{id}/resume", (CONTROL,), 202, "paused", body=_says({})),
    _of_run("POST", "/runs/{id}/input", (CONTROL,), 202, "open", body=_says({"task": "ask", "value": 1})),
    _of_run(
        "POST", "/runs/{id}/input", (CONTROL,), 202, "open", body=_says({"task": "ask", "value": 1}),
        headers={"Idempotency-Key": "once"},
    ),
    _of_run("POST", "/runs/{id}/retry", (CONTROL,), 202, "ended", body=_says({})),
    _of_run(
        "POST", "/runs/{id}/retry", (CONTROL,), 202, "ended", body=_says({}),
        headers={"Idempotency-Key": "once-retry"},
    ),
    _of_run("POST", "/runs/{id}/events", (CONTROL,), 202, "open", body=_says({"type": "said"})),
    _of_run("POST", "/runs/{id}/close", (CONTROL,), 202, "session", body=_says({})),
    _of_run(
        "POST", "/runs/{id}/close", (CONTROL,), 202, "session", body=_says({}), headers={"Idempotency-Key": "once"}
    ),
    _of_run("DELETE", "/runs/{id}", (ADMIN,), 204, "ended"),
    Ask("GET", "/schedules", (READ,)),
    _of_schedule("GET", "/schedules/{schedule}", (READ,), 200),
    Ask(
        "PUT", "/schedules/{schedule}", (RUN, CONTROL), 201, "no schedule",
        _says({"workflow": "small", "cron": "0 7 * * *"}), runs=BAD_RUN, workflows=BAD_WORKFLOW,
    ),
    _of_schedule("POST", "/schedules/{schedule}/pause", (CONTROL,), 200, body=_says({})),
    _of_schedule("POST", "/schedules/{schedule}/resume", (CONTROL,), 200, body=_says({})),
    _of_schedule("POST", "/schedules/{schedule}/trigger", (RUN,), 201, body=_says({})),
    _of_schedule(
        "POST", "/schedules/{schedule}/trigger", (RUN,), 201, body=_says({}), headers={"Idempotency-Key": "once-now"}
    ),
    _of_schedule("DELETE", "/schedules/{schedule}", (CONTROL,), 204),
    Ask("POST", "/stream-tickets", (READ,), 201, "open", lambda id: {"run_id": id}, runs=BAD_RUN),
    Ask("POST", "/stream-tickets", (READ,), 201, "", _says({"filter": {}})),
    Ask("GET", "/whoami", (READ,)),
    Ask("GET", "/client/{file}"),
    Ask("GET", "/metrics", (ADMIN,), of_all=True),
    Ask("GET", "/healthz"),
    Ask("GET", "/readyz"),
    Ask("GET", "/diagnosis", (ADMIN,)),
    Ask("GET", "/problems"),
    Ask("GET", "/problems/{code}"),
    Ask("GET", "/openapi.json"),
    Ask("GET", "/docs"),
)  # fmt: skip
"""Below the prefix of ``mount``."""

OF_ONES_OWN: Final = (
    _of_run("GET", "/own/{id}/stream", (READ,), 200, "open", headers=STREAM, ticket=True),
    _of_run("GET", "/own/{id}/stream", (READ, CONTROL), 200, "open", headers=STREAM, query=_CANCELS),
    Ask(
        "GET", "/own/{id}/started", (READ, RUN), 200, "new", headers=STREAM, runs=BAD_RUN, workflows=BAD_WORKFLOW
    ),
    _start("POST", "/own/start", 200, _says({}), shows=True),
    _start("POST", "/own/start", 200, _says({}), shows=True, headers=STREAM),
    _start("POST", "/own/created", 201, _says({})),
    _start("POST", "/own/created", 201, _says({}), headers={"Idempotency-Key": "once-created"}),
    _of_run("GET", "/own/{id}/state", (READ,), 200, "open"),
    _start("POST", "/own/chat", 200, _message, shows=True),
    Ask(
        "GET", "/own/chat/{id}/stream", (READ,), 200, "chat", foreign="204", runs=BAD_RUN, workflows="204", ticket=True
    ),
    Ask("POST", "/own/chat/{id}/stop", (CONTROL,), 200, "chat", _says({}), foreign="200", runs=BAD_RUN),
    _of_run("POST", "/own/chat/{id}/input", (CONTROL,), 202, "chat", body=_says({"task": "ask", "value": 1})),
    Ask("GET", "/own/pages"),
    Ask("GET", "/own/pages/"),
    Ask("GET", "/own/pages/assets/{asset}"),
    Ask("POST", "/own/agent", (READ, RUN, CONTROL), 200, "new", _agent, runs=BAD_RUN, workflows=BAD_WORKFLOW),
)  # fmt: skip
"""Of ``add_stream`` without and with ``start=``, ``add_start``, ``add_state``, ``add_chat`` and ``add_agent``; and the
dashboard."""

ASKS: Final = (*OF_THE_API, *OF_ONES_OWN)


# --- the page ---------------------------------------------------------------------------------------------------

_INTRODUCTION: Final = """\
Who may ask what, and what they are answered. A number alone is the status of the usual answer, or of a problem without
a code; – is 403 [`forbidden-scope`](problems.md#forbidden-scope). *other tenant* has all scopes, and asks for a run
that exists, though not in its tenant; *other runs* and *other workflows* have all scopes, and patterns (`runs`,
`workflows`) that the run, or the workflow, is not among. Without a credential, or with a wrong, expired or revoked one,
everything that is not public is 401: `unauthenticated`, `key-expired`, `key-revoked`, `token-invalid`, `token-expired`.
A ticket is for this run, or for this selection. HEAD is answered like GET, but a ticket is for GET only. `/own/…` are
routes of the host: `add_stream` (`/stream`, and with `start=` `/started`), `add_start` (`/start`, and with
`answer="created"` `/created`), `add_state` (`/state`), `add_chat` (`/chat`), `add_agent` (`/agent`), and the
dashboard (`/pages`). Everybody here is of one tenant of several: [`/metrics`](metrics.md) is for who has the scope
`admin` and sees all tenants, runs and workflows, or is of the tenant that is there where there are no others.
"""


def section() -> str:
    """What stands in the page between the marks."""
    columns = (*SCOPES, "all scopes", "other tenant", "other runs", "other workflows", "ticket")
    head = f"| | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}\n"
    rows = "".join(
        f"| `{ask.name}` | {' | '.join(map(_shown, map(ask.answer, EVERYBODY[len(NOBODY) :])))} |\n"
        for ask in ASKS
        if ask.scopes
    )
    public = ", ".join(f"`{ask.name}`" for ask in ASKS if not ask.scopes)
    return f"{BEGIN}\n\n{_INTRODUCTION}\n{head}{rows}\nPublic, for everybody: {public}.\n\n{END}"


def _shown(answer: str) -> str:
    status, _, code = answer.partition(" ")
    if code == "forbidden-scope":
        return "–"
    return f"{status} [`{code}`](problems.md#{code})" if code else status


def main() -> None:
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    PAGE.write_text(before + section() + rest.partition(END)[2])
    sys.stdout.write(f"wrote {PAGE.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
