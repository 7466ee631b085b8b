"""Errors as ``application/problem+json`` (RFC 9457): one table from the type of an error to its status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from reactor import errors
from reactor.events.shown import display_json
from reactor.logger import get_logger
from reactor.operators.select import InvalidPattern
from reactor_web.http.middleware import only_looks

logger = get_logger("reactor.web")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUS: Final[dict[type[Exception], int]] = {
    errors.UnknownWorkflow: 404,
    errors.UnknownRun: 404,
    errors.UnknownTask: 404,
    errors.InvalidRunId: 422,
    errors.RunExists: 409,
    errors.RunEnded: 409,
    errors.RunOpen: 409,
    errors.RunEnding: 409,
    errors.RunNotHere: 409,
    errors.TaskEnded: 409,
    errors.MailboxFull: 409,
    errors.WrongQuestion: 409,
    errors.InvalidValue: 422,
    errors.EventTooLarge: 413,
    errors.InvalidEvent: 422,
    errors.KeyReused: 422,
    errors.IsSession: 409,
    errors.WorkflowChanged: 409,
    errors.InputError: 422,
    errors.WorkflowError: 422,
    errors.PlanError: 422,
    errors.EngineClosed: 503,
    errors.TooManyWaiting: 503,
    errors.LogUnavailable: 503,
    errors.LogLost: 503,
    InvalidPattern: 400,
}

TITLES: Final = {
    400: "Bad request",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    410: "Gone",
    413: "Too large",
    415: "Unsupported media type",
    422: "Invalid input",
    426: "Upgrade required",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
}


BROKEN: Final = "something is broken here; the server's log has the details"
"""What a client is told of a bug."""


class Problem(Exception):
    """A request that cannot be answered: ``detail`` is one sentence that names what and where."""

    def __init__(self, status: int, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.members = members


def problem_document(status: int, detail: str, **members: Any) -> dict[str, Any]:
    """A problem document. ``members`` are added to it."""
    detail = detail.encode("utf-8", "replace").decode()  # may quote a header, whose bytes need not be text
    return {"type": "about:blank", "title": TITLES.get(status, "Error"), "status": status, "detail": detail, **members}


def document_of(error: Exception) -> dict[str, Any] | None:
    """The problem document of an error that a request may cause; None for any other, which is a bug."""
    if isinstance(error, Problem):
        return problem_document(error.status, str(error), **error.members)
    known = next((kind for kind in type(error).__mro__ if kind in STATUS), None)
    if known is None:
        return None
    ids = {"error": known.__name__} | {name: value for name, value in vars(error).items() if value is not None}
    if "status" in ids:  # the run's status; in a problem document ``status`` is HTTP's
        ids["run_status"] = ids.pop("status")
    return problem_document(STATUS[known], str(error), **ids)


def problem_response(status: int, detail: str, **members: Any) -> web.Response:
    """A problem document as a response. ``members`` are added to it."""
    return _respond(problem_document(status, detail, **members))


def _respond(document: dict[str, Any]) -> web.Response:
    """``display_json``: the members are a host's own, or what a client has sent, and may be no JSON."""
    status = document["status"]
    headers = {"Retry-After": "1"} if status == 503 else None
    return web.Response(
        status=status, body=display_json(document), content_type="application/problem+json", headers=headers
    )


@only_looks
@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware: answers whatever a handler raises with a problem document.

    ``mount`` adds it to the routes, unless the application has it for all of its handlers. An error that is a bug is
    logged with its traceback; the client gets status 500 without it.
    """
    try:
        return await handler(request)
    except web.RequestPayloadError as error:
        return problem_response(400, f"the body cannot be read: {error}")
    except web.HTTPException as error:
        return _of_http_error(request, error)
    except ConnectionError:
        raise  # the client has gone: there is nobody to answer
    except Exception as error:
        document = document_of(error)
        if document is None:
            logger.error("bug in a handler", method=request.method, path=request.path, exc_info=error)
            document = problem_document(500, BROKEN)
        return _respond(document)


def _of_http_error(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        raise error
    details = {
        404: f"there is nothing at {request.path}",
        405: f"{request.method} is not possible at {request.path}",
        410: "Gone",
        413: f"the body is above {request.client_max_size:,} bytes",
    }
    response = problem_response(error.status, details.get(error.status, error.reason))
    for name in ("Allow",):
        if name in error.headers:
            response.headers[name] = error.headers[name]
    return response
