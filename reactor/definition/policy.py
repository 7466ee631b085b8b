"""How tasks and runs are supervised: frozen values, checked when they are made. Nothing here acts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, cast

from reactor.bounds import LIMIT_AMOUNT, MAX_COST, MAX_SECONDS, MAX_TOKENS, TASK_NAME

RetryOn = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]
"""Exception types, or a function that is asked."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Runs a failing body again: ``@flow.task(retry=Retry(attempts=3))``.

    - ``attempts``: in total, the first one included. Only failures count, not restarts of the engine.
    - ``delay``: seconds before the second attempt; each further delay is ``backoff`` times the one before, at most
      ``max_delay``.
    - ``jitter``: the part of a delay, 0 to 1, that chance takes away, so that many do not return at once.
    - ``retry_on``: exception types, or a function that is asked; anything else fails at once. A timeout is a
      ``TaskTimeout``.

    An error that knows better has an attribute ``retry_after``, in seconds (as HTTP's 429 says): the delay is then at
    least that.
    """

    attempts: int = 3
    delay: float = 1.0
    backoff: float = 2.0
    max_delay: float = 60.0
    jitter: float = 0.1
    retry_on: RetryOn = Exception

    def __post_init__(self) -> None:
        _check_whole("Retry", "attempts", self.attempts, 1)
        for name in ("delay", "max_delay"):
            _check_number("Retry", name, getattr(self, name), 0, MAX_SECONDS)
        _check_number("Retry", "backoff", self.backoff, 1, 1_000)
        _check_number("Retry", "jitter", self.jitter, 0, 1)
        if not _can_judge(self.retry_on):
            raise ValueError(f"retry_on of a Retry is exception types or a function, not {self.retry_on!r}")

    def takes(self, error: BaseException) -> bool:
        """Whether this failure is worth another attempt."""
        kinds = self.retry_on
        if isinstance(kinds, (type, tuple)):
            return isinstance(error, cast("type[BaseException] | tuple[type[BaseException], ...]", kinds))
        return bool(kinds(error))

    def delay_after(self, failures: int, chance: float, error: BaseException | None = None) -> float:
        """Seconds to wait after the ``failures``-th failure; ``chance`` from 0 to 1 decides about the jitter."""
        if self.delay == 0:
            return _retry_after(error)  # also where its factor is beyond what a float can be
        exponent = min(failures - 1, 1_000)
        try:
            delay = min(self.delay * self.backoff**exponent, self.max_delay)
        except OverflowError:
            delay = self.max_delay
        return max(delay * (1 - self.jitter * chance), _retry_after(error))


def _retry_after(error: BaseException | None) -> float:
    """Seconds an error asks for; 0 where it does not, or asks for something else."""
    try:
        seconds: object = getattr(error, "retry_after", None)
    except Exception:  # a property of the user's; it knows nothing then
        return 0.0
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return 0.0
    return float(seconds) if 0 < seconds <= MAX_SECONDS else 0.0


def _can_judge(retry_on: object) -> bool:
    if callable(retry_on) and not isinstance(retry_on, type):
        return True
    kinds = cast(tuple[object, ...], retry_on) if isinstance(retry_on, tuple) else (retry_on,)
    return all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that tasks share by its name: ``Engine(limits=[Limit("openai", 60, per=60)])``, ``limits="openai"``.

    With ``per`` it is a rate: in any ``per`` seconds at most ``amount`` bodies start. Without, at most ``amount`` run
    at once. Both hold across all runs of an engine; a restart begins anew.
    """

    name: str
    amount: int
    per: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not TASK_NAME.fullmatch(self.name):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
            raise ValueError(f"{self.name!r} is no name of a limit: a letter or _, then letters, digits, . _ ~ -")
        _check_whole(f"limit {self.name!r}", "amount", self.amount, 1, LIMIT_AMOUNT)
        if self.per is not None:
            _check_number(f"limit {self.name!r}", "per", self.per, 0.001, MAX_SECONDS)


@dataclass(frozen=True, slots=True)
class Cache:
    """Keeps a task's output in the store of the engine: ``@flow.task(cache=Cache(key=lambda url: url, ttl=3600))``.

    - ``key``: a function whose parameters bind like the body's and which gives what the output depends on, as JSON;
      without one, everything the body is given.
    - ``ttl``: seconds an output is good for; None: until the store forgets it.

    Outputs are shared by all runs of the same workflow, version and task. Only what a restart can hand on is kept.
    """

    key: Callable[..., Any] | None = None
    ttl: float | None = None

    def __post_init__(self) -> None:
        if self.key is not None and not callable(self.key):
            raise ValueError(f"key of a Cache is a function, not {self.key!r}")
        if self.ttl is not None:
            _check_number("Cache", "ttl", self.ttl, 0.001, MAX_SECONDS)


RESOURCES: Final = ("cost", "tokens", "seconds", "tasks")
"""What a budget can limit, in the order in which it is told."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may use, its child runs included: ``engine.start(flow, budget=Budget(cost=5.0))``.

    - ``cost``: money, in whatever unit ``ctx.spend(cost=)`` is; summed as decimals. ``tokens``: likewise.
    - ``seconds``: wall time; a pause and the time between a crash and the restart do not count.
    - ``tasks``: starts of bodies.
    - ``on_exceeded``: ``"fail"`` stops the run, ``"pause"`` pauses it, ``"tell"`` only says so.

    ``budget.warning`` comes once a resource, at 80 percent, ``budget.exceeded`` once a resource, above the limit. What
    runs at once can spend beyond a limit before it is stopped: at most what the bodies in flight spend at once.
    """

    cost: float | int | Decimal | str | None = None
    tokens: int | None = None
    seconds: float | None = None
    tasks: int | None = None
    on_exceeded: Literal["fail", "pause", "tell"] = "fail"

    def __post_init__(self) -> None:
        if self.cost is not None:
            object.__setattr__(self, "cost", money(self.cost))
        for name in ("tokens", "tasks"):
            if getattr(self, name) is not None:
                _check_whole("Budget", name, getattr(self, name), 0, MAX_TOKENS)
        if self.seconds is not None:
            _check_number("Budget", "seconds", self.seconds, 0.001, MAX_SECONDS)
        if self.on_exceeded not in ("fail", "pause", "tell"):
            raise ValueError(f"on_exceeded of a Budget is 'fail', 'pause' or 'tell', not {self.on_exceeded!r}")

    def limit(self, resource: str) -> Decimal | None:
        """The limit of a resource; None where there is none."""
        value = getattr(self, resource)
        return None if value is None else Decimal(float.__repr__(value) if isinstance(value, float) else str(value))

    def to_dict(self) -> dict[str, Any]:
        """As it stands in ``run.started``."""
        found: dict[str, Any] = {name: getattr(self, name) for name in RESOURCES if getattr(self, name) is not None}
        if isinstance(found.get("cost"), Decimal):
            found["cost"] = float(found["cost"])
        return {**found, "on_exceeded": self.on_exceeded}

    @classmethod
    def of(cls, given: Budget | Mapping[str, Any]) -> Budget:
        """A budget, or one from its JSON; raises ValueError with what is wrong."""
        if isinstance(given, Budget):
            return given
        if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # of a request's body
            raise ValueError(f"a budget is an object, not {type(given).__name__}")
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise ValueError(f"a budget has no {str(name)[:50]!r}; it may have {', '.join(known)}")
        return cls(**given)


PLACES: Final = Decimal("1e-12")
"""Costs are kept to a trillionth, and to what a JSON number carries: floats that were computed have noise below."""


def money(amount: object) -> Decimal:
    """A cost as the decimal its text says; raises ValueError for what is no amount from 0."""
    if isinstance(amount, bool) or not isinstance(amount, (int, float, Decimal, str)):
        raise ValueError(f"a cost is a number from 0, not {amount!r}")
    try:
        cost = Decimal(float.__repr__(amount) if isinstance(amount, float) else amount)
    except (InvalidOperation, ValueError):
        raise ValueError(f"a cost is a number from 0, not {str(amount)[:50]!r}") from None
    if not cost.is_finite() or not 0 <= cost <= MAX_COST:
        raise ValueError(f"a cost is a number from 0 to {MAX_COST:,}, not {str(amount)[:50]}")
    return Decimal(repr(float(cost.quantize(PLACES)))).normalize()  # what the log has is what is summed


def check_tokens(tokens: object) -> None:
    """Raises ValueError for what is no number of tokens."""
    if isinstance(tokens, bool) or not isinstance(tokens, int) or not 0 <= tokens <= MAX_TOKENS:
        raise ValueError(f"tokens is a whole number from 0 to {MAX_TOKENS:,}, not {str(tokens)[:50]}")


def _check_whole(of: str, name: str, value: object, least: int, most: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        upto = "" if most is None else f" to {most:,}"
        raise ValueError(f"{name} of a {of} is a whole number from {least}{upto}, not {value!r}")


def _check_number(of: str, name: str, value: object, least: float, most: float) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(cast(float, value)) or not least <= cast(float, value) <= most:
        raise ValueError(f"{name} of a {of} is a number from {least:g} to {most:,g}, not {value!r}")
