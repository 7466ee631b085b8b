"""What a handler may set of a stream: ``stream(request, run, types="task.*")``; checked, because nobody else does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypedDict, get_args

from reactor.bounds import MAX_SECONDS
from reactor.definition.names import unknown_options
from reactor.operators.select import InvalidPattern, matcher
from reactor.requests import number_problem, whole_number_problem
from reactor_web.dialects import DialectInfo, find_named
from reactor_web.http.own_options import own_options, refused_by, text_of

OnDisconnect = Literal["continue", "cancel"]

_OF_A_SOURCE: Final = "the stream of an Observable"


class StreamSettings(TypedDict, total=False):
    """The options of ``stream``; the docstrings of ``StreamOptions`` explain each."""

    after: int
    part: int
    epoch: str
    types: str | Sequence[str] | None
    tasks: str | Sequence[str] | None
    throttle: float | None
    heartbeat: float
    tail: int | None
    logs: int
    await_run: float
    snapshot: bool
    on_disconnect: OnDisconnect
    dialect: str
    names: bool
    compress: bool


_OPTIONAL: Final = ("types", "tasks", "throttle", "tail")
_WHOLE: Final = ("after", "part", "tail", "logs")
_NUMBERS: Final = ("throttle", "heartbeat", "await_run")


def check_settings(
    settings: Mapping[str, Any], names: Sequence[str] | None = None, *, has_view: bool = False
) -> dict[str, Any]:
    """The settings as fields of ``StreamOptions``. ``names``: those that this source has; None: all.

    ``has_view``: the stream has a view, which names its items as it likes.

    Raises TypeError for an option that there is not, ValueError for a value that it cannot have.
    """
    of, known = ("stream", tuple(StreamSettings.__annotations__)) if names is None else (_OF_A_SOURCE, names)
    info = find_named(str(settings.get("dialect", "native"))).info  # raises UnknownDialect, which names those there are
    if unknown := settings.keys() - set(known) - set(info.options):
        raise unknown_options(of, unknown, (*known, *info.options))
    if refused := [name for name in sorted(refused_by(info)) if _asks(name, settings.get(name))]:
        raise ValueError(f"stream: {refused[0]}= has no meaning in the dialect {info.name}")
    settings = _own(settings, info)
    for name, value in settings.items():
        if (
            name != "own"
            and (value is not None or name not in _OPTIONAL)
            and (problem := _problem(name, value)) is not None
        ):
            raise ValueError(f"stream: {name}= {problem}")
    globs = {name: settings[name] for name in ("types", "tasks") if settings.get(name) is not None}
    try:
        matcher(**globs, any_type=has_view)
    except InvalidPattern as error:  # the handler's doing: as an InvalidPattern it would be answered 400
        raise ValueError(f"stream: {error}") from None
    return {**settings, **{name: (value,) if isinstance(value, str) else tuple(value) for name, value in globs.items()}}


def _asks(name: str, value: Any) -> bool:
    """Whether a setting changes anything; ``tail=0`` does."""
    return value is False if name == "names" else value not in (None, False) or (name == "tail" and value is not None)


def _own(settings: Mapping[str, Any], info: DialectInfo) -> dict[str, Any]:
    """The settings with what only this dialect has as fields of ``StreamOptions``."""
    given = {name: text_of(value) for name, value in settings.items() if name in info.options}
    try:
        own, fields = own_options(info, given)
    except ValueError as error:
        raise ValueError(f"stream: {error}") from None
    return (
        {name: value for name, value in settings.items() if name not in given} | fields | ({"own": own} if own else {})
    )


def _problem(name: str, value: Any) -> str | None:
    if name in _WHOLE:
        return whole_number_problem(value, 0)
    if name in _NUMBERS:
        return number_problem(value, 0, MAX_SECONDS * 1_000 if name == "throttle" else MAX_SECONDS)
    if name in ("snapshot", "names", "compress") and not isinstance(value, bool):
        return f"must be True or False, not {value!r}"
    if name == "on_disconnect" and value not in get_args(OnDisconnect):
        return f"must be 'continue' or 'cancel', not {value!r}"
    if name == "dialect":
        find_named(str(value))  # raises UnknownDialect, a ValueError that names those there are
    return None
