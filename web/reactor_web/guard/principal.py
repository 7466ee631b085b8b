"""Who asks, and what they may: values and questions about them, without a request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from math import isfinite
from typing import Final, Protocol, cast

from reactor.requests import check_tenant


class Scope(StrEnum):
    """What somebody may do."""

    READ = "read"
    """Definitions, states, outputs and streams."""
    RUN = "run"
    """Start runs and open sessions."""
    CONTROL = "control"
    """Cancel, pause, resume, answer, retry, emit, close, and cancel by leaving (``on_disconnect=cancel``)."""
    ADMIN = "admin"
    """Delete runs, and see and revoke keys."""


SCOPES: Final = frozenset(map(str, Scope))
_ALL: Final = "*"
_SIGNS: Final = frozenset("*?[")
"""A pattern without any of them is a name."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who asks."""

    id: str
    """``key:<id>``, ``jwt:<sub>``, or what the host's own ``authorize`` says. It stands in ``by`` of events and in log
    lines, so it is no secret."""
    scopes: frozenset[str]
    runs: tuple[str, ...] | None = None
    """Patterns of run ids (``acme-*``); None, or ``*`` among them: all runs."""
    workflows: tuple[str, ...] | None = None
    """Patterns of workflow names; None, or ``*`` among them: all workflows."""
    tenant: str | None = ""
    """Whose runs these are. None: those of every tenant; a request then names one by ``?tenant=``, or means ``""``."""
    expires: float | None = None
    """Unix seconds. None: it is asked again every minute whether a stream may go on."""

    def __post_init__(self) -> None:
        """Raises TypeError and ValueError for what cannot be: a mistake here must let nobody in."""
        if not isinstance(self.id, str) or not self.id.isprintable():  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
            raise ValueError("the id of a principal must be text that can be printed: it stands in log lines")
        object.__setattr__(self, "scopes", frozenset(_texts("scopes", self.scopes)))
        if unknown := self.scopes - SCOPES:
            raise ValueError(f"there is no scope {min(unknown)!r}; there are {', '.join(Scope)}")
        for name in ("runs", "workflows"):
            patterns = None if getattr(self, name) is None else _texts(name, getattr(self, name))
            object.__setattr__(self, name, None if patterns is None or _ALL in patterns else patterns)
        if self.tenant is not None:
            check_tenant(self.tenant)
        if self.expires is not None and (isinstance(self.expires, bool) or not _is_time(self.expires)):
            raise ValueError(f"expires of a principal must be Unix seconds, not {self.expires!r}")

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes

    @property
    def is_narrowed(self) -> bool:
        """Whether it sees only some runs of its tenant."""
        return self.runs is not None or self.workflows is not None

    def is_within(self, other: Principal) -> bool:
        """Whether it may do nothing that the other one may not."""
        return (
            self.scopes <= other.scopes
            and other.tenant in (None, self.tenant)
            and _are_within(self.runs, other.runs)
            and _are_within(self.workflows, other.workflows)
        )

    def sees_run(self, run_id: str) -> bool:
        """Whether a run id is among its patterns."""
        return _is_among(run_id, self.runs)

    def sees_workflow(self, name: str) -> bool:
        """Whether the name of a workflow is among its patterns."""
        return _is_among(name, self.workflows)


def _are_within(patterns: Iterable[str] | None, others: tuple[str, ...] | None) -> bool:
    """Whether what fits some patterns fits the others; False where only a look at all names could tell."""
    if others is None or patterns is None:
        return others is None
    return all(pattern in others or (_SIGNS.isdisjoint(pattern) and _is_among(pattern, others)) for pattern in patterns)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _texts(name: str, given: object) -> tuple[str, ...]:
    """A text alone is refused: ``"acme-*"`` would be six patterns of one sign, and one of them fits everything."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"the {name} of a principal must be a list of texts, not {given!r}: [{given!r}]")
    texts = tuple(cast("Iterable[object]", given))
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f"the {name} of a principal must be texts, not {texts!r}"[:200])
    return cast("tuple[str, ...]", texts)


def _is_among(name: str, patterns: Iterable[str] | None) -> bool:
    return patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns)


class Unauthenticated(Exception):
    """A credential does not say who asks. Its text is one sentence without the credential."""

    def __init__(self, detail: str, code: str = "unauthenticated") -> None:
        super().__init__(detail)
        self.code = code


class Authenticator(Protocol):
    """One kind of bearer token."""

    def claims(self, token: str) -> bool:
        """Whether a token has the form of this kind."""
        ...

    async def authenticate(self, token: str) -> Principal:
        """Who has this token; raises Unauthenticated."""
        ...
