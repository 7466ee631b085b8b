"""Awaitables: always ready, lets others run, shared by many; and a call that must be awaited."""

from __future__ import annotations

import asyncio
import warnings
from asyncio import AbstractEventLoop, Future, get_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import wraps
from inspect import iscoroutine, iscoroutinefunction
from time import perf_counter
from typing import Any, Final, Generic, NoReturn, TypeVar, cast
from weakref import WeakKeyDictionary

from reactor.bounds import TURN_SECONDS
from reactor.errors import NotAwaited, UnawaitedAttribute

C = TypeVar("C")
K = TypeVar("K")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Ready:
    """An awaitable that is done. There is one instance, ``READY``: an ``emit`` that need not wait allocates nothing."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return
        yield  # pragma: no cover  # makes this function a generator, which ends at once


READY = Ready()


class NextTurn:
    """An awaitable that lets others run, always. A cancel that was asked for arrives there."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield


NEXT_TURN: Final = NextTurn()


class Turn:
    """The present turn of one event loop. Awaited, it lets others run if the turn has lasted ``TURN_SECONDS``.

    There is one for each loop (``turn_of``), which all bodies share: where a thousand of them run on without waiting
    for anything, the first that awaits it too late ends the turn for all. Else each would have its milliseconds, and
    together they would hold the loop for seconds.
    """

    __slots__ = ("__weakref__", "_began", "_called", "_clock", "_is_ending", "_refused")

    def __init__(self) -> None:
        self._clock: Callable[[], float] = perf_counter
        self._began = perf_counter()
        self._is_ending = False
        """Somebody has let others run: from now on everybody does, until the next turn begins."""
        self._refused = 0
        """How often somebody was refused in this turn."""
        self._called = 0
        """How many calls that may have their answer at once have begun in this turn."""

    def step(self, now: float) -> None:
        """A body goes on, after a wait. ``now``: ``time.perf_counter()``."""
        if not self._is_ending:
            self._began = now if self._clock is perf_counter else self._clock()

    def keep_time(self, clock: Callable[[], float] = perf_counter) -> None:
        """Goes by another clock from now on, in seconds: where everything is to be the same at each run."""
        self._clock = clock
        self._began = clock()

    @property
    def is_over(self) -> bool:
        return self._clock() - self._began > TURN_SECONDS

    def __await__(self) -> Generator[None, None, None]:
        if self._clock() - self._began < TURN_SECONDS:
            return cast("Generator[None, None, None]", iter(()))
        return self._end()

    def _end(self) -> Generator[None, None, None]:
        if not self._is_ending:
            self._is_ending = True
            get_running_loop().call_soon(self._begin)  # before all those who let others run now
        yield

    def _begin(self) -> None:
        self._began = self._clock()
        self._is_ending = False
        self._refused = 0

    def call(self) -> bool:
        """Counts a call that may have its answer at once. True where it has to let others run before it begins."""
        self._called += 1
        if self._called == 1:
            get_running_loop().call_soon(self._count_anew)
        return self._called > CALLS

    def _count_anew(self) -> None:
        self._called = 0

    def refuse(self, error: Exception) -> Awaitable[Any]:
        """Raises an error. Who calls on and on in the same turn is given an awaitable: it lets others run, then raises.

        So a loop that goes on after each error does not hold the event loop, and a call that nobody awaits raises too.
        """
        self._refused += 1
        if self._refused == 1:
            get_running_loop().call_soon(self._begin)
        if self._refused <= REFUSALS:
            raise error
        return _Refused(error)


class _Refused:
    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __await__(self) -> Generator[None, None, NoReturn]:
        yield
        raise self._error


REFUSALS: Final = 100
"""Calls that raise at once in one turn."""

CALLS: Final = 100
"""Calls that begin at once in one turn."""

_TURNS: Final[WeakKeyDictionary[AbstractEventLoop, Turn]] = WeakKeyDictionary()


def turn_of(loop: AbstractEventLoop) -> Turn:
    """The turn of a loop: one object, as long as there is the loop."""
    turn = _TURNS.get(loop)
    if turn is None:
        turn = _TURNS[loop] = Turn()
    return turn


async def after_turn(turn: Awaitable[None], answer: Awaitable[T_co]) -> T_co:
    """Lets others run before it waits for an answer."""
    try:
        await turn
    except BaseException:
        if iscoroutine(answer):
            answer.close()
        raise
    return await answer


class Shared:
    """Awaits a future that others await too: if one of them is cancelled, the future and the others are not."""

    __slots__ = ("_future",)

    def __init__(self, future: Future[None]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, None]:
        mine: Future[None] = self._future.get_loop().create_future()

        def wake(_: Future[None]) -> None:
            if not mine.done():
                mine.set_result(None)

        self._future.add_done_callback(wake)
        try:
            yield from mine
        finally:
            self._future.remove_done_callback(wake)


class Flights(Generic[K, T]):
    """Makes a value once for all who ask for it at the same time: the first one begins, the others wait for it too.

    Who is cancelled cancels no other; when nobody waits any more, the making is cancelled. An error is told to all who
    wait, and is not kept: who asks after the end begins anew.
    """

    __slots__ = ("_flights",)

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[T]] = {}

    async def join(self, key: K, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The value that ``make`` gives, of this call or of one that is under way."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight()
            flight.making = asyncio.get_running_loop().create_task(self._make(key, flight, make))
        mine: Future[T] = asyncio.get_running_loop().create_future()
        flight.waiters[mine] = None
        try:
            return await mine
        finally:
            del flight.waiters[mine]
            if not flight.waiters and self._flights.get(key) is flight and flight.making is not None:
                del self._flights[key]
                flight.making.cancel()

    async def _make(self, key: K, flight: _Flight[T], make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        try:
            made = await make()
        except BaseException as error:
            for mine in self._end(key, flight):
                mine.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            # in this very step: whoever asks next may change what was made, and must not be before those who wait
            for mine in self._end(key, flight):
                mine.set_result(made)

    def _end(self, key: K, flight: _Flight[T]) -> list[Future[T]]:
        """Who still waits."""
        if self._flights.get(key) is flight:
            del self._flights[key]
        return [mine for mine in flight.waiters if not mine.done()]


class _Flight(Generic[T]):
    """What is being made, and who waits for it."""

    __slots__ = ("making", "waiters")

    def __init__(self) -> None:
        self.making: asyncio.Task[None] | None = None
        self.waiters: dict[Future[T], None] = {}


class PendingCall(Coroutine[Any, Any, T_co]):
    """An async call of ours that begins when it is awaited. Used as if it were the result, it raises NotAwaited.

    A coroutine would be true: ``if ctx.receive("delete it?"):`` without ``await`` would be an approval. Like a
    coroutine it can be given to ``asyncio.create_task`` and ``gather``, can be awaited once, and warns if it never is.
    """

    __slots__ = ("_begin", "_inner", "_what")

    def __init__(self, what: str, begin: Callable[[], Coroutine[Any, Any, T_co]]) -> None:
        self._what = what
        """As in ``await <what>(...)``."""
        self._begin: Callable[[], Coroutine[Any, Any, T_co]] | None = begin
        self._inner: Coroutine[Any, Any, T_co] | None = None

    # --- as a coroutine ---

    def send(self, value: Any, /) -> Any:
        inner = self._inner
        return (inner or self._started()).send(value)

    def throw(self, kind: Any, value: Any = None, traceback: Any = None, /) -> Any:
        error: BaseException = kind if isinstance(kind, BaseException) else value or kind()
        return (self._inner or self._started()).throw(error)

    def close(self) -> None:
        self._begin = None
        if self._inner is not None:
            self._inner.close()

    def __await__(self) -> Generator[Any, Any, T_co]:
        return self._started().__await__()

    def _started(self) -> Coroutine[Any, Any, T_co]:
        begin, self._begin = self._begin, None
        if begin is None:
            raise RuntimeError(f"{self._what}(...) was awaited before; keep its result, or call it again")
        self._inner = begin()
        return self._inner

    def __del__(self) -> None:
        if getattr(self, "_begin", None) is not None:
            message = f"{self._what}(...) was never awaited, so it did nothing: write await {self._what}(...)"
            warnings.warn(message, RuntimeWarning, stacklevel=2, source=self)

    # --- as if it were the result ---

    def _refuse(self, *_: object) -> NoReturn:
        raise NotAwaited(self._sentence)

    @property
    def _sentence(self) -> str:
        return f"{self._what}(...) gives its result only when it is awaited: write await {self._what}(...)"

    def __bool__(self) -> NoReturn:
        self._refuse()

    def __eq__(self, other: object) -> bool:
        return True if self is other else self._refuse()

    def __format__(self, spec: str) -> NoReturn:
        self._refuse()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)  # asked for by Python itself
        raise UnawaitedAttribute(self._sentence)

    __hash__ = object.__hash__
    __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __int__ = __float__ = _refuse
    __len__ = __iter__ = __contains__ = __getitem__ = _refuse

    def __repr__(self) -> str:
        return f"<{self._what}(...){'' if self._inner is not None else ', not awaited'}>"


def methods_must_be_awaited(owner: str) -> Callable[[type[C]], type[C]]:
    """Makes the public ``async def`` methods of a class return a ``PendingCall``. ``owner``: as users name an instance.

    Type checkers see the coroutines, and tell of one that is not awaited.
    """

    def decorate(kind: type[C]) -> type[C]:
        for name, method in list(vars(kind).items()):
            if iscoroutinefunction(method) and not name.startswith("_"):
                setattr(kind, name, _pending(f"{owner}.{name}", method))
        return kind

    return decorate


def _pending(what: str, function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., PendingCall[Any]]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> PendingCall[Any]:
        return PendingCall(what, lambda: _begin(function(*args, **kwargs)))

    return call


def _begin(call: Coroutine[Any, Any, T_co]) -> Coroutine[Any, Any, T_co]:
    """Who calls on and on, and always has the answer at once, lets others run: they may be what it looks for."""
    try:
        loop = get_running_loop()
    except RuntimeError:  # somebody steps through it by hand
        return call
    return after_turn(NEXT_TURN, call) if turn_of(loop).call() else call
