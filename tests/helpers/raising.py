"""Exceptions of all kinds, and the bodies that raise them: they must say the same in a process as in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reactor.executors.processes.exceptions import MAX_EXCEPTIONS


class ApiError(Exception):
    """As the errors of many clients: what ``__init__`` takes is not what is in ``args``."""

    def __init__(self, status: int, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.retry_after = retry_after


class Overloaded(ApiError):
    """Has its parent's ``__init__``."""


class Doubled(Exception):
    """Its pickle can be read, but says something else: the message is made a second time."""

    def __init__(self, text: str) -> None:
        super().__init__(f"not found: {text}")


class DiskError(OSError):
    """A built-in class with an ``__init__`` of its own, whose attributes are not in ``__dict__``."""

    def __init__(self, path: str, *, code: int) -> None:
        super().__init__(code, "no room", path)


class Holding(Exception):
    """Holds what no pickle takes, and shows it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()
        self.text = text

    def __str__(self) -> str:
        return f"{self.text}, locked {self.lock.locked()}"


class Socket:
    """What no pickle takes, and always shows the same."""

    def __reduce__(self) -> Any:
        raise TypeError

    def __repr__(self) -> str:
        return "<Socket>"


class Slotted(Exception):
    """With slots, which no default pickle of an exception keeps."""

    __slots__ = ("code",)

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Frozen(Exception):
    code: int
    text: str


class Reducing(Exception):
    """``__reduce__`` raises what ends a process."""

    def __reduce__(self) -> Any:
        raise SystemExit(9)


class Rebuilding(Exception):
    """What ``__reduce__`` says to call raises."""

    def __reduce__(self) -> Any:
        return (_refuse, ())


class Own(BaseException):
    """No Exception."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Wrapping(Exception):
    """Has another exception as its argument and as an attribute."""

    def __init__(self, text: str, inner: BaseException) -> None:
        super().__init__(text, inner)
        self.inner = inner


class Grouped(ExceptionGroup[Exception]):
    """A group with an attribute."""

    code: int


def _refuse() -> None:
    raise KeyboardInterrupt


def _local(base: type[BaseException]) -> BaseException:
    class HomeMade(base):  # type: ignore[misc, valid-type]
        def __init__(self, code: int) -> None:
            super().__init__(500, "at home") if base is ApiError else super().__init__("at home")
            self.code = code

    return HomeMade(7)


EXCEPTIONS: dict[str, Callable[[], BaseException]] = {
    "plain": lambda: ValueError("no", 3),
    "two parts": lambda: ApiError(429, "slow down", retry_after=0.01),
    "subclass": lambda: Overloaded(503, "busy"),
    "doubled": lambda: Doubled("it"),
    "built-in": lambda: FileNotFoundError(2, "gone", "/nowhere"),
    "os error": lambda: DiskError("/full", code=28),
    "unicode": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    "key error": lambda: KeyError("name"),
    "holding": lambda: Holding("held"),
    "socket": lambda: ValueError(Socket()),
    "slotted": lambda: Slotted(4, "four"),
    "frozen": lambda: Frozen(code=5, text="five"),
    "reducing": lambda: Reducing("reduced"),
    "rebuilding": lambda: Rebuilding("rebuilt"),
    "own": lambda: Own(3, "three"),
    "wrapping": lambda: Wrapping("outer", ApiError(400, "inner")),
    "local": lambda: _local(ApiError),
    "local os error": lambda: _local(ConnectionResetError),
    "local base": lambda: _local(Own.__base__ or BaseException),
    "exit": lambda: SystemExit(3),
    "generator exit": lambda: GeneratorExit("left"),
    "stop": lambda: StopIteration("stopped"),
    "huge": lambda: ApiError(413, "x" * 5_000_000),
    "group": lambda: ExceptionGroup("several", [ApiError(1, "one"), ExceptionGroup("inner", [ValueError("two")])]),
    "base group": lambda: BaseExceptionGroup("several", [Own(1, "one"), ValueError("two")]),
}
KINDS = tuple(EXCEPTIONS)


def make(kind: str) -> BaseException:
    """A new exception of one kind."""
    return EXCEPTIONS[kind]()


def fail(kind: str) -> None:
    raise make(kind)


def fail_with_notes() -> None:
    error = ApiError(404, "gone")
    error.add_note("a note")
    raise error


def fail_with_a_cause() -> None:
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            raise ApiError(400, "second") from first
    except ApiError:
        raise Holding("third")  # noqa: B904  # the context is what is tested


def fail_and_hide() -> None:
    try:
        raise KeyError("hidden")
    except KeyError:
        raise ApiError(400, "shown") from None


def fail_in_a_circle() -> None:
    one, two = ApiError(1, "one"), ApiError(2, "two")
    one.__cause__, two.__cause__ = two, one
    raise one


def fail_in_a_large_group() -> None:
    group = Grouped("many", [ApiError(n, "one of many") for n in range(2 * MAX_EXCEPTIONS)])
    group.code = 9
    raise group


def fail_twice(ctx: Any, kind: str) -> int:
    """Fails in its first two attempts."""
    if ctx.attempt < 3:
        raise make(kind)
    return ctx.attempt
