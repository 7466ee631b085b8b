"""How tasks and runs are supervised: Retry, Limit, Cache and Budget, frozen values that are checked when made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, cast

from reactor.bounds import LIMIT_AMOUNT, MAX_COST, MAX_SECONDS, MAX_TOKENS, TASK_NAME
from reactor.definition.functions import AnyFunction
from reactor.definition.names import TASK_NAME_RULE, did_you_mean, names_its_options
from reactor.errors import RemoteError
from reactor.events.values import json_kind, short_repr
from reactor.requests import number_problem, whole_number_problem

RetryOn = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]
"""Exception types, or a function that is given the exception and returns whether to retry."""


@names_its_options()
@dataclass(frozen=True, slots=True)
class Retry:
    """Runs a failing body again: ``@flow.task(retry=Retry(attempts=3))``.

    - ``attempts``: how many in total, with the first one. Only failures count, not restarts of the engine.
    - ``delay``: seconds before the second attempt; each further delay is ``backoff`` times the one before, at most
      ``max_delay``.
    - ``jitter``: up to which part of a delay (0 to 1) is taken off at random, so that many tasks do not retry at once.
    - ``retry_on``: exception types, or a function that is given the exception; any other error fails the task at once.
      A timeout is a ``TaskTimeout``.

    An error may have an attribute ``retry_after`` in seconds (like the header of HTTP 429): the delay is at least that.
    Raises ValueError for an option out of its range.
    """

    attempts: int = 3
    delay: float = 1.0
    backoff: float = 2.0
    max_delay: float = 60.0
    jitter: float = 0.1
    retry_on: RetryOn = Exception

    def __post_init__(self) -> None:
        _check("attempts of a Retry", whole_number_problem(self.attempts, 1))
        _check("delay of a Retry", number_problem(self.delay, 0, MAX_SECONDS))
        _check("max_delay of a Retry", number_problem(self.max_delay, 0, MAX_SECONDS))
        _check("backoff of a Retry", number_problem(self.backoff, 1, 1_000))
        _check("jitter of a Retry", number_problem(self.jitter, 0, 1))
        if not _is_retry_on(self.retry_on):
            raise ValueError(
                "retry_on of a Retry must be an exception type, a tuple of them or a function, "
                f"not {short_repr(self.retry_on)}"
            )

    def takes(self, error: BaseException) -> bool:
        """Whether this error may be retried."""
        kinds = self.retry_on
        if isinstance(kinds, (type, tuple)):
            return _is_one_of(error, cast("type[BaseException] | tuple[type[BaseException], ...]", kinds))
        return bool(kinds(error))

    def delay_after(self, failures: int, chance: float, error: BaseException | None = None) -> float:
        """Seconds to wait after so many failures; ``chance`` is a random number from 0 to 1 that decides the jitter."""
        if self.delay == 0:
            return _retry_after(error)  # 0 times an infinite factor would be NaN
        exponent = min(failures - 1, 1_000)
        try:
            delay = min(self.delay * self.backoff**exponent, self.max_delay)
        except OverflowError:
            delay = self.max_delay
        return max(delay * (1 - self.jitter * chance), _retry_after(error))


def _is_one_of(error: BaseException, kinds: type[BaseException] | tuple[type[BaseException], ...]) -> bool:
    """As ``isinstance``. An exception from a process whose class cannot be found here is compared by names too."""
    if isinstance(error, kinds):
        return True
    if not isinstance(error, RemoteError):
        return False
    names = ((kind.__module__, kind.__qualname__) for kind in ((kinds,) if isinstance(kinds, type) else kinds))
    return any(name in error.class_names for name in names)


def _retry_after(error: BaseException | None) -> float:
    """The seconds in ``error.retry_after``; 0 if there is no such attribute, or it is not a valid number of seconds."""
    try:
        seconds: object = getattr(error, "retry_after", None)
    except Exception:  # the attribute may be a user's property, which may raise anything
        return 0.0
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return 0.0
    return float(seconds) if 0 < seconds <= MAX_SECONDS else 0.0


def _is_retry_on(retry_on: object) -> bool:
    if callable(retry_on) and not isinstance(retry_on, type):
        return True
    kinds = cast(tuple[object, ...], retry_on) if isinstance(retry_on, tuple) else (retry_on,)
    return all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)


@names_its_options()
@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that tasks share by its name: ``Engine(limits=[Limit("openai", 60, per=60)])``, ``limits="openai"``.

    With ``per`` it is a rate: at most ``amount`` bodies start in any ``per`` seconds. Without ``per``, at most
    ``amount`` bodies run at once. A limit holds across all runs of an engine, and a restart of the engine begins anew;
    where engines share a log it holds across all of them, and goes on.
    Raises ValueError for a bad name or an amount out of range.
    """

    name: str
    amount: int
    per: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not TASK_NAME.fullmatch(self.name):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
            raise ValueError(f"{self.name!r} is not a valid name of a limit: {TASK_NAME_RULE}")
        _check(f"amount of limit {self.name!r}", whole_number_problem(self.amount, 1, LIMIT_AMOUNT))
        if self.per is not None:
            _check(f"per of limit {self.name!r}", number_problem(self.per, 0.001, MAX_SECONDS))


@names_its_options()
@dataclass(frozen=True, slots=True)
class Cache:
    """Keeps a task's output in the store of the engine: ``@flow.task(cache=Cache(key=lambda url: url, ttl=3600))``.

    - ``key``: a function that returns, as JSON, what the output depends on; its parameters bind like those of the body.
      Without one, the output depends on all arguments of the body; where it takes a Context, also on the input and the
      meta of the run and on how the task's upstreams ended.
    - ``ttl``: for how many seconds an output may be used; None: until the store drops it.

    Outputs are shared by all runs of the same workflow, version and task. Only outputs that survive a restart
    (``values.encode_output``) are stored. Raises ValueError for an option that does not fit.
    """

    key: AnyFunction[Any] | None = None
    ttl: float | None = None

    def __post_init__(self) -> None:
        if self.key is not None and not callable(self.key):
            raise ValueError(f"key of a Cache must be a function, not {short_repr(self.key)}")
        if self.ttl is not None:
            _check("ttl of a Cache", number_problem(self.ttl, 0.001, MAX_SECONDS))


RESOURCES: Final = ("cost", "tokens", "seconds", "tasks")
"""What a budget can limit, in the order in which events and descriptions name it."""


@names_its_options()
@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may use together with its child runs: ``engine.start(flow, budget=Budget(cost=5.0))``.

    - ``cost``: money, in the unit of ``ctx.spend(cost=)``; summed as decimals.
    - ``tokens``: the sum of ``ctx.spend(tokens=)``.
    - ``seconds``: wall time; pauses and the time between a crash and the restart do not count.
    - ``tasks``: how many bodies are started.
    - ``on_exceeded``: ``"fail"`` stops the run, ``"pause"`` pauses it, ``"tell"`` only emits the event.

    For each resource there is one ``budget.warning`` at 80 percent and one ``budget.exceeded`` above the limit. A run
    can go beyond a limit by what the bodies in flight spend before they are stopped. Raises ValueError for a limit out
    of range.
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
                _check(f"{name} of a Budget", whole_number_problem(getattr(self, name), 0, MAX_TOKENS))
        if self.seconds is not None:
            _check("seconds of a Budget", number_problem(self.seconds, 0.001, MAX_SECONDS))
        if self.on_exceeded not in ("fail", "pause", "tell"):
            wrong = short_repr(self.on_exceeded)
            raise ValueError(f"on_exceeded of a Budget must be 'fail', 'pause' or 'tell', not {wrong}")

    def limit(self, resource: str) -> Decimal | None:
        """The limit of one of ``RESOURCES``; None if it has no limit."""
        value = getattr(self, resource)
        return None if value is None else Decimal(float.__repr__(value) if isinstance(value, float) else str(value))

    def to_dict(self) -> dict[str, Any]:
        """The budget as JSON, as ``run.started`` carries it; ``of`` reads it back."""
        found: dict[str, Any] = {name: getattr(self, name) for name in RESOURCES if getattr(self, name) is not None}
        if isinstance(found.get("cost"), Decimal):
            found["cost"] = float(found["cost"])
        return {**found, "on_exceeded": self.on_exceeded}

    @classmethod
    def of(cls, given: Budget | Mapping[str, Any]) -> Budget:
        """A Budget as it is, or one made from its JSON; raises ValueError that says what is wrong."""
        if isinstance(given, Budget):
            return given
        if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # may come from a request
            raise ValueError(f'a budget must be an object, not {json_kind(given)}: {{"cost": 5}}')
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                hint = did_you_mean(str(name), known) or f"; its members are {', '.join(known)}"
                raise ValueError(f"a budget has no member {str(name)[:50]!r}{hint}")
        return cls(**given)


PLACES: Final = Decimal("1e-12")
"""Costs are rounded to this, and to what a JSON number can carry: below it, computed floats are noise."""


def money(amount: object) -> Decimal:
    """A cost as the decimal that its text says; raises ValueError for anything but a number from 0 to ``MAX_COST``."""
    if isinstance(amount, bool) or not isinstance(amount, (int, float, Decimal, str)):
        raise ValueError(f"a cost must be a number from 0, not {amount!r}")
    try:
        cost = Decimal(float.__repr__(amount) if isinstance(amount, float) else amount)
    except (InvalidOperation, ValueError):
        raise ValueError(f"a cost must be a number from 0, not {str(amount)[:50]!r}") from None
    if not cost.is_finite() or not 0 <= cost <= MAX_COST:
        raise ValueError(f"a cost must be a number from 0 to {MAX_COST:,}, not {str(amount)[:50]}")
    return Decimal(repr(float(cost.quantize(PLACES)))).normalize()  # the sum is made of the numbers in the log


def check_tokens(tokens: object) -> None:
    """Raises ValueError for anything but a whole number from 0 to ``MAX_TOKENS``."""
    _check("tokens", whole_number_problem(tokens, 0, MAX_TOKENS))


def _check(what: str, problem: str | None) -> None:
    if problem is not None:
        raise ValueError(f"{what} {problem}")
