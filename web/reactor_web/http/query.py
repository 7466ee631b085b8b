"""What a request asks for in its query and headers, checked before anything starts. Strings in, values out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from reactor.definition.names import did_you_mean, is_one_edit
from reactor.operators.select import matcher
from reactor_web.bounds import (
    DEFAULT_EVENTS,
    DEFAULT_HEARTBEAT_SECONDS,
    DEFAULT_PAGE,
    HEARTBEAT_RANGE,
    MAX_EVENTS,
    MAX_EVENTS_BACK,
    MAX_PAGE,
    MAX_WAIT_SECONDS,
    THROTTLE_RANGE,
)
from reactor_web.dialects import Dialect, DialectInfo, UnknownDialect, find, find_named
from reactor_web.dialects.unnamed import unnamed
from reactor_web.http.own_options import OwnOptions, own_options, refused_by
from reactor_web.http.parameters import Query, flag, number_in, one, one_of, patterns, values_of
from reactor_web.http.problems import Problem
from reactor_web.http.serving import DEFAULTS, Serving, View

MAX_PART_DIGITS: Final = 9
_COMPARED_NAMES: Final = 100
"""How many parameters of a client's own are looked at for a slip."""

CURSOR: Final = re.compile(r"([0-9]{1,18})(\.[0-9]+)?(?:~[0-9a-z]{1,64})?")

NAMES: Final = (
    "after",
    "tail",
    "types",
    "tasks",
    "throttle",
    "heartbeat",
    "snapshot",
    "logs",
    "await_run",
    "on_disconnect",
    "dialect",
    "names",
    "compress",
)

OF_A_ROUTE: Final = (*NAMES, "children", "view")
"""The names that a stream of the routes may have: these know the engine, and the views that are mounted."""
NOT_OF_A_TREE: Final = ("tail", "snapshot", "logs", "throttle", "view")
"""The names that have no meaning with ``children=1``."""

OF_A_PAGE: Final = ("after", "tail", "types", "tasks", "throttle", "snapshot", "await_run", "limit", "wait")
"""The names that a page of events may have: it has no silence, and no frames."""

OF_POSITIONS: Final = ("after", "types", "tasks", "heartbeat", "dialect", "names", "compress")
"""The names that a stream of several runs has."""

OF_A_POSITION_PAGE: Final = ("after", "types", "tasks", "limit", "wait")
"""The names that a page of several runs has."""
OF_A_TREE_PAGE: Final = (*OF_A_POSITION_PAGE, "await_run")

OF_A_SOURCE: Final = ("after", "heartbeat", "dialect", "compress")
"""The names that have a meaning for an Observable that is no run. Its handler reads ``after`` itself."""


Others: TypeAlias = Literal["refused", "own", "free"]
"""What becomes of query parameters that are no options. ``refused``: 400. ``own``: they are the client's or the
handler's own, but what is one slip away from an option is 400. ``free``: the handler reads them, whatever they are."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What a client asks of a stream. Clients of a run with equal ``shared`` parts share a pipeline and its bytes."""

    after: int | None = None
    """The last seq the client saw; None: from the start."""
    part: int = 0
    """How many frames of the event after that one the client saw, too."""
    epoch: str = ""
    """Of the numbers that the client knows, where the log had lost the end of the run."""
    types: tuple[str, ...] | None = None
    """Globs of event types."""
    tasks: tuple[str, ...] | None = None
    """Globs of task ids."""
    throttle: float | None = None
    """Milliseconds between two progress events of a task; None: all of them."""
    heartbeat: float = DEFAULT_HEARTBEAT_SECONDS
    """Seconds of silence before a heartbeat; 0: none, which only a handler can set."""
    tail: int | None = None
    """Without a cursor: only this many of the last events."""
    logs: int = 0
    """Without a cursor: first this many of the last ``log.created`` before the event the stream begins with."""
    await_run: float = 0.0
    """Seconds to wait for the run to start."""
    snapshot: bool = False
    """Begin with the folded state instead of the first event."""
    on_disconnect: str = "continue"
    """``cancel``: when this client goes before the run has ended, the run is cancelled."""
    children: bool = False
    """The events of all runs below the run too. The cursor is then a position of the log."""
    dialect: str = "native"
    """The name of the dialect that frames are in."""
    own: OwnOptions = ()
    """What is asked of the options that only this dialect has."""
    names: bool = True
    """Whether frames have the name of their event; without it a browser gets all of them as ``message``."""
    compress: bool = False
    """Compress the bytes for this client, if it takes that: ``Accept-Encoding`` names gzip or zstd."""
    view: View | None = None
    """Only a handler can set it; equal functions are the same view."""

    @property
    def shared(self) -> StreamOptions:
        """These options without those that concern one client only."""
        if all(getattr(self, name) == value for name, value in _OF_ONE_CLIENT.items()):
            return self
        return replace(self, **_OF_ONE_CLIENT)

    def find_dialect(self) -> Dialect:
        """The dialect that frames are in, as it is asked for."""
        dialect = find(self.dialect, self.own)
        return dialect if self.names else unnamed(dialect)


_OF_ONE_CLIENT: Final[dict[str, Any]] = {
    "after": None, "part": 0, "epoch": "", "snapshot": False, "tail": None, "logs": 0, "await_run": 0.0,
    "on_disconnect": "continue", "compress": False,
}  # fmt: skip


def stream_options(
    query: Query,
    last_event_id: str | None,
    fixed: Mapping[str, Any] | None = None,
    names: Sequence[str] = NAMES,
    *,
    others: Others = "refused",
    serving: Serving = DEFAULTS,
) -> StreamOptions:
    """The options of a query, which may have these ``names`` and the dialect's own; raises Problem 400.

    ``Last-Event-ID`` wins over ``after``, because clients repeat the URL. Several ``types`` or ``tasks`` add up.
    ``fixed`` are fields of ``StreamOptions`` that the handler sets; a query changes none of them but the cursor.
    ``others``: what becomes of other names. ``serving``: what holds where neither says anything.
    """
    dialect = _dialect(query, fixed or {}, serving.dialect)
    _check_names(query, tuple(dict.fromkeys([*names, *dialect.options])), others)
    own, fields = _own(query, dialect)
    query = {name: values_of(query, name) for name in query if name in names and name not in dialect.options}
    defaults: dict[str, Any] = {**serving.paces(dialect), "compress": serving.compress, **fields}
    fixed = {**(fixed or {})}
    fixed["own"] = tuple(sorted({**dict(own), **dict(fixed.get("own", ()))}.items()))
    given = StreamOptions(**{**defaults, **fixed})
    options = _asked(query, last_event_id, replace(given, dialect=dialect.name))
    if options.children:
        _check_tree(query, dialect)
    options = replace(options, **{name: value for name, value in fixed.items() if name != "after"})
    # raises InvalidPattern now, not in the stream; a view names its items as it likes
    matcher(options.types, options.tasks, any_type=options.view is not None)
    return options


def _asked(query: Query, last_event_id: str | None, given: StreamOptions) -> StreamOptions:
    """What a query asks for, and what is ``given`` where it asks for nothing; raises Problem 400."""
    cursor = last_event_id if last_event_id else one(query, "after")
    throttle = 0.0 if one(query, "throttle") == "0" else number_in(query, "throttle", THROTTLE_RANGE, "milliseconds")
    heartbeat = number_in(query, "heartbeat", HEARTBEAT_RANGE, "seconds")
    tail = number_in(query, "tail", (0, MAX_EVENTS_BACK), "events", whole=True)
    logs = number_in(query, "logs", (0, MAX_EVENTS_BACK), "log lines", whole=True)
    await_run = number_in(query, "await_run", (0, MAX_WAIT_SECONDS), "seconds")
    return replace(
        given,
        after=given.after if cursor is None else parse_cursor(cursor, "Last-Event-ID" if last_event_id else "after"),
        part=given.part if cursor is None else parse_part(cursor),
        epoch=given.epoch if cursor is None else cursor.partition("~")[2],
        types=patterns(query, "types") or given.types,
        tasks=patterns(query, "tasks") or given.tasks,
        throttle=given.throttle if throttle is None else throttle or None,  # 0: none, also where a mount sets one
        heartbeat=given.heartbeat if heartbeat is None else heartbeat,
        snapshot=flag(query, "snapshot", given.snapshot),
        tail=given.tail if tail is None else int(tail),
        logs=given.logs if logs is None else int(logs),
        await_run=given.await_run if await_run is None else await_run,
        on_disconnect=one_of(query, "on_disconnect", ("continue", "cancel")) or given.on_disconnect,
        children=flag(query, "children", given.children),
        names=flag(query, "names", given.names),
        compress=flag(query, "compress", given.compress),
    )


def _check_names(query: Query, names: Sequence[str], others: Others) -> None:
    """Raises Problem 400 for a name that is no option, and for an option that other streams have."""
    for place, name in enumerate(query):
        if name in names:
            continue
        if others == "refused" or name in NAMES:
            hint = did_you_mean(name, names)
            raise Problem(400, f"there is no stream option {name[:50]!r}{hint or '; there are ' + ', '.join(names)}")
        # each comparison takes some microseconds, and a URL has room for a thousand names
        if (
            others == "own"
            and place < _COMPARED_NAMES
            and (slip := next((option for option in names if is_one_edit(name, option)), None))
        ):
            raise Problem(400, f"there is no stream option {name[:50]!r}, did you mean {slip!r}?")


def _own(query: Query, dialect: DialectInfo) -> tuple[OwnOptions, dict[str, Any]]:
    """What a query asks of the options that only this dialect has; raises Problem 400."""
    given = {name: text for name in dialect.options if (text := one(query, name)) is not None}
    try:
        return own_options(dialect, given)
    except ValueError as error:
        raise Problem(400, str(error)) from None


def _check_tree(query: Query, dialect: DialectInfo) -> None:
    """Raises Problem 400 for what has no meaning in the stream of a tree of runs."""
    for name in query:
        if name in NOT_OF_A_TREE:
            raise Problem(400, f"{name} has no meaning with children=1")
    if dialect.folds:
        raise Problem(400, f"the dialect {dialect.name} makes its frames of one run: leave out children=1")


def _dialect(query: Query, fixed: Mapping[str, Any], default: str) -> DialectInfo:
    """What is true of the dialect that the handler or else the query names; raises Problem 400."""
    if "dialect" in fixed:
        info = find(fixed["dialect"]).info
    else:
        try:
            info = find_named(one(query, "dialect") or default).info
        except UnknownDialect as error:
            raise Problem(400, str(error)) from error
    refused = refused_by(info)
    for name in query:
        if name in refused:
            raise Problem(400, f"{name} has no meaning in the dialect {info.name}")
    return info


def parse_cursor(text: str, where: str) -> int:
    """The seq to go on after. ``<seq>.<k>`` is a part of event ``seq``, which must be sent again: so ``seq - 1``. What
    follows ``~`` is the epoch of these numbers."""
    match = CURSOR.fullmatch(text)
    if match is None:
        raise Problem(400, f"{where} is {text[:50]!r}, but a cursor is the seq of the last event seen, like 12")
    seq = int(match[1])
    return max(seq - 1, 0) if match[2] else seq


def parse_part(text: str) -> int:
    """Of a cursor ``<seq>.<k>`` the k; 0 for a cursor without one, and for ``0.<k>``: nothing has the seq 0."""
    seq, _, part = text.partition("~")[0].partition(".")
    return int(part) if 0 < len(part) <= MAX_PART_DIGITS and int(seq) else 0


class PageOptions(NamedTuple):
    """What a client asks of a page of events."""

    stream: StreamOptions
    """Where it begins, and what passes."""
    limit: int
    """Events in it, at most."""
    wait: float
    """Seconds to wait for something to put into it."""


def page_options(query: Query, last_event_id: str | None, names: Sequence[str] = OF_A_PAGE) -> PageOptions:
    """The options of a page of events, which may have these ``names``; raises Problem 400."""
    for name in query:
        if name in OF_A_ROUTE and name not in names:
            raise Problem(400, f"{name} has no meaning in this page of events: ask for text/event-stream")
    _check_names(query, names, "refused")
    limit = number_in(query, "limit", (1, MAX_EVENTS), "events", whole=True)
    wait = number_in(query, "wait", (0, MAX_WAIT_SECONDS), "seconds")
    rest = {name: values_of(query, name) for name in query if name not in ("limit", "wait")}
    stream = stream_options(rest, last_event_id)
    return PageOptions(stream, DEFAULT_EVENTS if limit is None else int(limit), wait or 0.0)


def page_size(query: Query) -> int:
    """``limit=`` of a listing, from 1 to 1000; 100 without it. Raises Problem 400."""
    limit = number_in(query, "limit", (1, MAX_PAGE), "runs", whole=True)
    return DEFAULT_PAGE if limit is None else int(limit)
