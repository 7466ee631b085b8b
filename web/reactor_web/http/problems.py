"""Errors as ``application/problem+json`` (RFC 9457): one table from the type of an error to its status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import ceil
from typing import Any, Final

from aiohttp import web

from reactor import errors
from reactor.events.shown import display_json
from reactor.logger import get_logger
from reactor.operators.select import InvalidPattern
from reactor_web.http.codes import CODES
from reactor_web.http.middleware import only_looks
from reactor_web.http.prefix import page_of
from reactor_web.http.sending import PacedResponse, may_be_sent
from reactor_web.http.telling import tell_refused

logger = get_logger("reactor.web")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUS: Final[dict[type[Exception], int]] = {
    errors.UnknownWorkflow: 404,
    errors.UnknownRun: 404,
    errors.UnknownTask: 404,
    errors.UnknownSchedule: 404,
    errors.UnknownSeq: 404,
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
    errors.TooManyTickets: 503,
    errors.TooManyWaiting: 503,
    errors.LogUnavailable: 503,
    errors.LogLost: 503,
    errors.Unanswered: 503,
    InvalidPattern: 400,
}

CODE_OF: Final[dict[type[Exception], str]] = {
    errors.TooManyTickets: "too-many-tickets",
    errors.TooManyWaiting: "too-many-waiting",
    errors.Unanswered: "unanswered",
}

TITLES: Final = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "Request timeout",
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


_ENDS: Final = ("too-many-connects",)
"""After this refusal, and after 401, the connection ends: thousands may be refused, and each that stays open keeps a
handler that waits for another request."""
LOG_UNAVAILABLE: Final = "log-unavailable"
TOO_MUCH_UNREAD: Final = "clients have not read yet what this server has sent them, and it keeps no more: ask again"
LOG_FAILS: Final = "the log of this server fails; its own log has the details"
"""What a client is told in place of the words of a disk or a database."""
BROKEN: Final = "something is broken here; the server's log has the details"
"""What a client is told of a bug."""


class Problem(Exception):
    """A request that cannot be answered: ``detail`` is one sentence that names what and where.

    - ``code``: one of ``http.codes``, which has a page; any other is a member like all others.
    - ``retry_after``: seconds after which to ask again.
    """

    def __init__(self, status: int, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.members = members


def problem_document(status: int, detail: str, **members: Any) -> dict[str, Any]:
    """A problem document. ``members`` are added to it."""
    detail = detail.encode("utf-8", "replace").decode()  # may quote a header, whose bytes need not be text
    code = _code_in(members)
    title = TITLES.get(status, "Error") if code is None else CODES[code].title
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}


def document_of(error: Exception) -> dict[str, Any] | None:
    """The problem document of an error that a request may cause; None for any other, which is a bug."""
    if isinstance(error, Problem):
        return problem_document(error.status, str(error), **error.members)
    known = next((kind for kind in type(error).__mro__ if kind in STATUS), None)
    if known is None:
        return None
    if _is_of_log(error):
        return problem_document(STATUS[known], LOG_FAILS, error=known.__name__, code=LOG_UNAVAILABLE)
    ids = {"error": known.__name__} | {name: value for name, value in vars(error).items() if value is not None}
    if "status" in ids:  # the run's status; in a problem document ``status`` is HTTP's
        ids["run_status"] = ids.pop("status")
    if (code := CODE_OF.get(type(error))) is not None:
        ids["code"] = code
    return problem_document(STATUS[known], str(error), **ids)


def _is_of_log(error: Exception) -> bool:
    """Whether an error has the words of a log: paths, SQL, whatever an adapter says."""
    return isinstance(error, errors.LogUnavailable) or (isinstance(error, errors.LogLost) and bool(error.__cause__))


def problem_response(status: int, detail: str, *, request: web.Request | None = None, **members: Any) -> web.Response:
    """A problem document as a response. ``members`` are added to it.

    ``request``: the one that is answered, by which a ``code`` is given the address of its page.
    """
    return respond_with(problem_document(status, detail, **members), request)


def respond_with(document: dict[str, Any], request: web.Request | None = None) -> web.Response:
    """A problem document as a response to ``request``."""
    if request is not None:
        document = with_type(document, request)
        if (code := document.get("code")) is not None:
            tell_refused(request, str(code))
    # ``display_json``: the members are a host's own, or what a client has sent, and may be no JSON
    response = PacedResponse(
        status=document["status"], body=display_json(document), content_type="application/problem+json"
    )
    response.headers.update(_headers_of(document))
    if document["status"] == 401 or document.get("code") in _ENDS:
        response.force_close()
    return response


def with_type(document: dict[str, Any], request: web.Request) -> dict[str, Any]:
    """The document, whose type is the page of its code where it has one."""
    code = _code_in(document)
    page = None if code is None else page_of(request, code)
    return document if page is None else {**document, "type": page}


def _headers_of(document: dict[str, Any]) -> dict[str, str]:
    status, after = document["status"], document.get("retry_after")
    headers: dict[str, str] = {}
    if isinstance(after, int | float) and not isinstance(after, bool) and 0 <= after < 1e9:
        headers["Retry-After"] = str(ceil(after))
    elif status == 503:
        headers["Retry-After"] = "1"
    code = _code_in(document)
    challenge = None if code is None else CODES[code].challenge
    if status == 401 or (status == 403 and challenge is not None):
        headers["WWW-Authenticate"] = challenge or "Bearer"
    return headers


def _code_in(members: dict[str, Any]) -> str | None:
    code = members.get("code")
    return code if isinstance(code, str) and code in CODES else None


@only_looks
@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware: answers whatever a handler raises with a problem document.

    ``mount`` adds it to the routes, unless the application has it for all of its handlers. An error that is a bug is
    logged with its traceback; the client gets status 500 without it.
    """
    response = await _answered(request, handler)
    if "Content-Encoding" in request.headers and not request.content.is_eof():
        # aiohttp would read the rest of the body to throw it away, and of 1 MiB a gigabyte may come out, in one go
        response.force_close()
        request.content.feed_eof()
    return response


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
        if may_be_sent(request, response):
            return response
        return problem_response(503, TOO_MUCH_UNREAD)
    except web.RequestPayloadError as error:
        return problem_response(400, f"the body cannot be read: {error}")
    except web.HTTPException as error:
        return _of_http_error(request, error)
    except ConnectionError:
        raise  # the client has gone: there is nobody to answer
    except Exception as error:
        document = document_of(error)
        if _is_of_log(error):
            known = isinstance(error, errors.LogUnavailable)  # its sentence is enough
            logger.warning(
                "a request met a log that fails", method=request.method, path=request.path,
                error=str(error) if known else None, exc_info=None if known else error,
            )  # fmt: skip
        if document is None:
            logger.error("bug in a handler", method=request.method, path=request.path, exc_info=error)
            document = problem_document(500, BROKEN)
        return respond_with(document, request)


def _of_http_error(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        raise error
    details = {
        404: f"there is nothing at {request.path}",
        405: f"{request.method} is not possible at {request.path}",
        410: "Gone",
        413: f"the body is above {request.client_max_size:,} bytes",
    }
    members = {"code": "body-too-large"} if error.status == 413 else {}
    response = problem_response(error.status, details.get(error.status, error.reason), request=request, **members)
    for name in ("Allow",):
        if name in error.headers:
            response.headers[name] = error.headers[name]
    return response
