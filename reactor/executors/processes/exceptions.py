"""Exceptions on their way between an engine and a worker, with their causes, contexts, notes and groups.

An exception travels as its own pickle, if that gives the same exception again. If not, it is rebuilt: an object of its
class with its arguments and attributes, whose ``__init__`` is not called. If its class cannot be found at the other
end, a class of the same name stands for it (``RemoteError``). It derives from those bases that can be found there.
"""

from __future__ import annotations

import builtins
import copyreg
import pickle
import sys
from collections.abc import Iterator
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final, NamedTuple, cast

from reactor.bounds import MIB
from reactor.definition.address import MAIN
from reactor.errors import RemoteError
from reactor.events.values import describe_error, preview, traceback_of

MAX_EXCEPTIONS: Final = 1_000
"""Causes, contexts, members of groups: of one exception, so many others travel with it."""
_SPARE_BYTES: Final = 64 * 1024
"""A pickle up to this size is sent with the parts of its exception, for the case that it cannot be read there."""
_PACKED_BYTES: Final = 1024 * MIB
"""Above this size only the class and the message travel."""

ClassName = tuple[str, str]
"""Module and qualified name."""
Value = bytes | int | str
"""An argument or attribute: pickled; the index of another exception; or, of a value that cannot travel, its text."""


class RemoteTraceback(Exception):
    """The innermost cause of an exception from another process: the traceback it had there, as text."""


class Portable(NamedTuple):
    """One exception as it travels. Other exceptions are named by their index in the list that is sent."""

    class_names: tuple[ClassName, ...]
    """Of its class and all its bases, in the order of ``__mro__``."""
    message: str
    whole: bytes | None = None
    """Its own pickle; None if that cannot be read, or reads as something else."""
    arguments: tuple[Value, ...] = ()
    attributes: dict[str, Value] = {}  # noqa: RUF012  # a NamedTuple: nobody changes it
    members: tuple[int, ...] | None = None
    """Of an exception group."""
    cause: int | None = None
    context: int | None = None
    hides_context: bool = False


def pack_error(error: BaseException) -> bytes:
    """Pickles an exception for the other end of the pipe. Never raises."""
    try:
        packed = pickle.dumps((_Packing(error).portables, traceback_of(error)), pickle.HIGHEST_PROTOCOL)
        if len(packed) <= _PACKED_BYTES:
            return packed
    except BaseException:  # from a user's property or metaclass, also a SystemExit, which must not end the worker
        pass
    return pickle.dumps(([Portable(_class_names(error), text_of(error))], ""), pickle.HIGHEST_PROTOCOL)


def unpack_error(packed: bytes) -> BaseException:
    """The exception. Its innermost cause holds the traceback it had in the other process. Never raises."""
    portables: list[Portable]
    portables, trace = pickle.loads(packed)
    try:
        error = _Unpacking(portables).error
    except BaseException:  # from a user's property or metaclass; a SystemExit must not end the engine
        error = _new(_stand_in_class(portables[0]), (portables[0].message,))
    innermost = error
    seen: set[int] = set()
    while (deeper := _cause_of(innermost)) is not None and id(deeper) not in seen:
        seen.add(id(innermost))
        innermost = deeper
    _set(innermost, "__cause__", RemoteTraceback(f"\n{trace}"))
    return error


def text_of(error: BaseException) -> str:
    """What an exception says; never raises, whatever its ``__str__`` does."""
    return describe_error(error)["message"]


def _cause_of(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


# --- taking apart ---


class _Packing:
    """Takes an exception apart, with all those it leads to."""

    def __init__(self, error: BaseException) -> None:
        self.portables: list[Portable] = []
        self._found: list[BaseException] = []
        self._index: dict[int, int] = {}
        """id -> index, so that one that occurs twice, or in a circle, travels once."""
        self._refer(error)
        for found in self._found:  # grows meanwhile
            self.portables.append(self._take_apart(found))

    def _refer(self, error: BaseException | None) -> int | None:
        if error is None or isinstance(error, RemoteTraceback):  # that one is in the text of the traceback
            return None
        index = self._index.get(id(error))
        if index is None and len(self._found) < MAX_EXCEPTIONS:
            index = self._index[id(error)] = len(self._found)
            self._found.append(error)
        return index

    def _take_apart(self, error: BaseException) -> Portable:
        is_group = isinstance(error, BaseExceptionGroup)
        whole = None if is_group else _own_pickle(error)
        arguments: tuple[Value, ...] = ()
        attributes: dict[str, Value] = {}
        if whole is None or len(whole) <= _SPARE_BYTES:
            arguments = tuple(map(self._value, error.args[:1] if is_group else error.args))
            attributes = {name: self._value(value) for name, value in _attributes(error)}
        members = None
        if is_group:
            group = cast("BaseExceptionGroup[BaseException]", error)
            members = tuple(index for one in group.exceptions if (index := self._refer(one)) is not None)
        cause, context = self._refer(error.__cause__), self._refer(error.__context__)
        names = _class_names(error)
        return Portable(
            names, text_of(error), whole, arguments, attributes, members, cause, context, error.__suppress_context__
        )

    def _value(self, value: Any) -> Value:
        index = self._refer(value) if isinstance(value, BaseException) else None
        if index is not None:
            return index
        try:
            pickled = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
            pickle.loads(pickled)
        except BaseException:  # from a user's __reduce__ or __setstate__
            return preview(value)
        return pickled


def _own_pickle(error: BaseException) -> bytes | None:
    """Its pickle, if that reads as the same exception: most classes with an ``__init__`` of their own do not."""
    if isinstance(error, RemoteError):
        return None
    kind = type(error)
    try:
        pickled = pickle.dumps(error, pickle.HIGHEST_PROTOCOL)
        copy = pickle.loads(pickled)
        if type(copy) is not kind:
            return None
        if not _has_own_pickle(kind) and (copy.args != error.args or str(copy) != str(error)):
            return None  # its ``__init__`` was given the finished message, and has made another one of it
    except BaseException:  # from a user's __reduce__ or __init__
        return None
    return pickled


def _has_own_pickle(kind: type) -> bool:
    """Whether somebody has written how this class is pickled."""
    hooks = ("__reduce__", "__reduce_ex__", "__getstate__")
    written = any(hook in vars(base) for base in kind.__mro__ if not _is_builtin(base) for hook in hooks)
    return written or kind in copyreg.dispatch_table


def _attributes(error: BaseException) -> Iterator[tuple[str, Any]]:
    """What it holds beside its arguments: its ``__dict__``, with notes, and its slots; ``errno`` and the like too."""
    yield from error.__dict__.items()
    for base in type(error).__mro__[:-1]:
        if base is BaseException or base is BaseExceptionGroup:
            continue
        for name, member in vars(base).items():
            if isinstance(member, (MemberDescriptorType, GetSetDescriptorType)) and name != "__dict__":
                try:
                    value = member.__get__(error)
                except AttributeError:  # a slot that is not set
                    continue
                if value is not None:
                    yield name, value


def _class_names(error: BaseException) -> tuple[ClassName, ...]:
    if isinstance(error, RemoteError):
        return error.class_names
    return tuple(
        # a worker has the engine's ``__main__`` under another name
        ("__main__" if str(kind.__module__).rpartition(".")[2] == MAIN else str(kind.__module__), kind.__qualname__)
        for kind in type(error).__mro__[:-1]
    )


# --- putting together ---


class _Unpacking:
    """Puts an exception together again, with all those it leads to."""

    def __init__(self, portables: list[Portable]) -> None:
        self._portables = portables
        self._errors: dict[int, BaseException] = {}
        self._begun: set[int] = set()
        for index in range(len(portables)):
            self._error(index)
        for index, portable in enumerate(portables):
            self._complete(self._errors[index], portable)
        self.error = _with_message(self._errors[0], portables[0].message)

    def _error(self, index: int) -> BaseException:
        """The exception, still without attributes and causes."""
        if index not in self._errors:
            if index in self._begun:  # a group that contains itself
                return RuntimeError(self._portables[index].message)
            self._begun.add(index)
            self._errors[index] = self._make(self._portables[index])
        return self._errors[index]

    def _make(self, portable: Portable) -> BaseException:
        if portable.whole is not None:
            try:
                return pickle.loads(portable.whole)
            except BaseException:  # its class cannot be imported here, say
                pass
        kind = _find(portable.class_names[0]) or _stand_in_class(portable)
        arguments = tuple(map(self._value, portable.arguments))
        if not portable.arguments and portable.whole is not None:
            arguments = (portable.message,)
        if portable.members is not None:
            return _new_group(kind, arguments[0], [self._error(member) for member in portable.members])
        return _new(kind, arguments)

    def _complete(self, error: BaseException, portable: Portable) -> None:
        if portable.members is not None or portable.whole is None or isinstance(error, RemoteError):
            for name, value in portable.attributes.items():
                try:
                    _set(error, name, self._value(value))
                except Exception:  # a slot that the class no longer has
                    pass
        for name, index in (("__cause__", portable.cause), ("__context__", portable.context)):
            if index is not None:
                _set(error, name, self._errors[index])
        _set(error, "__suppress_context__", portable.hides_context)

    def _value(self, value: Value) -> Any:
        if isinstance(value, int):
            return self._error(value)
        if isinstance(value, str):
            return value
        try:
            return pickle.loads(value)
        except BaseException as error:  # its class cannot be imported here, say
            return f"<{type(error).__name__} when it was read>"


def _new(kind: type[BaseException], arguments: tuple[Any, ...]) -> BaseException:
    """An object of this class, made by the nearest built-in class, so that no ``__init__`` of a user is called."""
    native: Any = next(base for base in kind.__mro__ if _is_builtin(base))
    try:
        error: BaseException = native.__new__(kind, *arguments)
        native.__init__(error, *arguments)
    except Exception:  # arguments that the built-in class does not take
        error = native.__new__(kind)
    _set(error, "args", arguments)
    return error


def _new_group(kind: type[BaseException], message: str, members: list[BaseException]) -> BaseException:
    try:
        return BaseExceptionGroup.__new__(cast("type[BaseExceptionGroup[BaseException]]", kind), message, members)
    except Exception:  # a stand-in that is no group, or a class that does not take these members
        return BaseExceptionGroup(message, members)


def _set(error: BaseException, name: str, value: Any) -> None:
    BaseException.__setattr__(error, name, value)  # not the user's ``__setattr__``: the class may be frozen


def _find(name: ClassName) -> type[BaseException] | None:
    """The exception class of this name, if its module is imported here: else nobody here can compare with it."""
    found: Any = _find_type(name)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _find_type(name: ClassName) -> type | None:
    module, qualname = name
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        try:
            found = vars(cast(object, found))[part]
        except (KeyError, TypeError):
            return None
    is_it = isinstance(found, type) and (found.__module__, found.__qualname__) == name
    return cast(type, found) if is_it else None


def _stand_in_class(portable: Portable) -> type[BaseException]:
    """A class of the same name, with those bases that can be found here."""
    (module, qualname), *bases = portable.class_names
    found = [kind for base in bases if (kind := _find_type(base)) is not None]
    nearest = [kind for kind in found if not any(other is not kind and issubclass(other, kind) for other in found)]
    native = [kind for kind in found if _is_builtin(kind)][:1] or [Exception]
    namespace: dict[str, Any] = {"__module__": module, "__qualname__": qualname, "class_names": portable.class_names}
    namespace["__reduce__"] = _reduce
    for chosen in (nearest, native):
        try:
            made: Any = type(qualname.rpartition(".")[2], (RemoteError, *chosen), dict(namespace))
        except Exception:  # from a user's metaclass or __init_subclass__
            continue
        if issubclass(made, BaseException):
            return made
    return type(qualname.rpartition(".")[2], (RemoteError, Exception), namespace)


def _reduce(error: BaseException) -> tuple[Any, ...]:
    """The ``__reduce__`` of a stand-in, whose class nobody can import."""
    return unpack_error, (pack_error(error),)


def _with_message(error: BaseException, message: str) -> BaseException:
    """Makes it say what it said at the other end, also if its ``__str__`` needs an attribute that could not travel."""
    kind = type(error)
    if text_of(error) == message or _is_builtin(kind):
        return error

    def __str__(_: BaseException) -> str:
        return message

    names: dict[str, Any] = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__str__": __str__}
    try:
        error.__class__ = type(kind.__name__, (kind,), names)
    except Exception:  # from a user's metaclass or __init_subclass__
        pass
    return error


def _is_builtin(kind: type) -> bool:
    return vars(builtins).get(kind.__name__) is kind
