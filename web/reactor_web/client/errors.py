"""What a client raises: the errors of ``reactor.errors`` where the server names one of them, else those here."""

from __future__ import annotations

import re
from typing import Any, Final, cast

import aiohttp
import orjson

from reactor import errors
from reactor.errors import ReactorError

MAX_DETAIL_CHARS: Final = 500

FINAL_CLOSINGS: Final = {
    "not_recovered": "the server cannot continue this run: it does not have the workflow the run was started with",
    "not_found": "the server has no such run",
}
"""Reasons of ``stream.closing`` after which it is no use to reconnect, each with its sentence."""

OF_THE_ENGINE: Final[dict[str, type[ReactorError]]] = {
    kind.__name__: kind
    for kind in (
        errors.UnknownWorkflow,
        errors.UnknownRun,
        errors.UnknownTask,
        errors.UnknownSchedule,
        errors.UnknownSeq,
        errors.InvalidRunId,
        errors.RunExists,
        errors.RunEnded,
        errors.RunOpen,
        errors.RunEnding,
        errors.RunNotHere,
        errors.TaskEnded,
        errors.MailboxFull,
        errors.WrongQuestion,
        errors.InvalidValue,
        errors.EventTooLarge,
        errors.InvalidEvent,
        errors.KeyReused,
        errors.IsSession,
        errors.WorkflowChanged,
        errors.InputError,
        errors.WorkflowError,
        errors.PlanError,
        errors.EngineClosed,
        errors.TooManyWaiting,
        errors.TooManyTickets,
        errors.LogUnavailable,
        errors.LogLost,
        errors.Unanswered,
    )
}
"""The errors that the ``error`` of a problem document may name."""

_WITHOUT_SCHEME: Final = re.compile(r"[\w.-]+(:\d+(/|$)|/(?!/))", re.ASCII)

_OF_THE_DOCUMENT: Final = frozenset({"type", "title", "status", "detail", "error", "instance", "run_status"})
"""Members of a problem document that are no attributes of the error it names."""


class RequestRefused(ReactorError):
    """The server refuses a request, for a reason that has no error in ``reactor``: it is no use to repeat it.

    ``status``: of the answer, None if there was none; ``detail``: why; ``code``: of docs/problems.md
    """

    url: str
    status: int | None
    detail: str
    code: str | None

    def __init__(self, url: str, status: int | None, detail: str, code: str | None = None) -> None:
        answers = self._cannot if status is None else f"answers {status}"
        super().__init__(f"{detail} ({url} {answers})", url=url, status=status, detail=detail, code=code)

    _cannot = "cannot be asked"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.url, self.status, self.detail, self.code))


class StreamRefused(RequestRefused):
    """The request of a stream is wrong: a 4xx, a bad URL, or a resource that is not an event stream."""

    _cannot = "cannot be followed"


class ServerUnavailable(ReactorError):
    """There was no answer, or none that is of use, however often the server was asked. ``reason`` is a sentence."""

    url: str
    reason: str

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{self._cannot} {url}: {reason}", url=url, reason=reason)

    _cannot = "cannot ask"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.url, self.reason))


class StreamUnavailable(ServerUnavailable):
    """The stream cannot be followed to its end: too many failures in a row, or the server closed it for good."""

    _cannot = "cannot follow"


class StreamClosed(StreamUnavailable):
    """The server closed the stream before the end of the run, and it is no use to come back.

    ``closing``: ``not_recovered`` or ``not_found``, the reason of its ``stream.closing``.
    """

    closing: str

    def __init__(self, url: str, closing: str) -> None:
        super().__init__(url, FINAL_CLOSINGS[closing])
        self.closing = closing

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.url, self.closing))


class ClientClosed(ReactorError):
    """The client was closed, before or while it was asked for something. Make a new one."""


def error_of(url: str, status: int, body: bytes, reason: str | None) -> ReactorError:
    """The error that an answer of 4xx or 5xx says: the one that its problem document names, or RequestRefused."""
    problem = json_object(body)
    detail = one_line(str(problem.get("detail") or problem.get("title") or reason or "no reason given"))
    kind = OF_THE_ENGINE.get(str(problem.get("error")))
    if kind is None:
        code = problem.get("code")
        return RequestRefused(url, status, detail, code if isinstance(code, str) else None)
    ids = {name: value for name, value in problem.items() if name not in _OF_THE_DOCUMENT and name[:1] != "_"}
    if "run_status" in problem:  # ``status`` of a problem document is HTTP's
        ids["status"] = problem["run_status"]
    return kind(detail, **ids)


def json_object(value: Any) -> dict[str, Any]:
    """A JSON object, or the text of one, as a dict; anything else as an empty dict."""
    if isinstance(value, str | bytes):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def error_text(error: Exception) -> str:
    """Why a request came to nothing, as a part of a sentence, without the words of the HTTP library."""
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return "the server, or something before it, closed the connection"
    if isinstance(error, aiohttp.TooManyRedirects):
        return "it redirects without end"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return one_line(str(error))
    if isinstance(error, aiohttp.ClientResponseError):
        return "what answers there does not speak HTTP"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "no server answers in time"
    if isinstance(error, TimeoutError):
        return "nothing was heard for too long"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"there is no host {one_line(error.host)!r}"
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        return f"no server answers at {one_line(error.host)}:{error.port}"
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror).lower()
    return one_line(str(error)) or type(error).__name__


def not_a_url(url: str) -> str:
    """Why a URL cannot be asked, and what to write where only its scheme is missing."""
    return f"it is not an http:// or https:// URL{scheme_hint(url)}"


def scheme_hint(url: str) -> str:
    """``; write http://localhost:8080`` for ``localhost:8080``; empty for what is no host with a port or a path."""
    return f"; write http://{one_line(url)}" if _WITHOUT_SCHEME.match(url) else ""


def one_line(text: str) -> str:
    """Text of the server as part of a sentence: no line ends, nothing that a terminal would obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MAX_DETAIL_CHARS]
