"""Awaitables: one that is always ready, one that many can share, and a call that must be awaited."""

from __future__ import annotations

import warnings
from asyncio import Future
from collections.abc import Callable, Coroutine, Generator
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, NoReturn, TypeVar

from reactor.errors import NotAwaited, UnawaitedAttribute

C = TypeVar("C")
T_co = TypeVar("T_co", covariant=True)


class Ready:
    """An awaitable that is done. There is one instance, ``READY``: an ``emit`` that need not wait allocates nothing."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return
        yield  # pragma: no cover  # makes this function a generator, which ends at once


READY = Ready()


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
        return PendingCall(what, lambda: function(*args, **kwargs))

    return call
