"""The name of a class or a function, if another process finds the same under it."""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, MethodType, ModuleType
from typing import Any, Final, NamedTuple

_HEAP_TYPE: Final = 1 << 9
"""``Py_TPFLAGS_HEAPTYPE``: a class that was made at run time. The others are parts of the interpreter, and of C."""


class NoExactForm(TypeError):
    """A value that cannot be told from others like it: an object without ``__eq__``, a lock, an iterator, a cycle."""


class Named(NamedTuple):
    """A name, and what else tells a class or a function from others of this name."""

    name: str
    parts: tuple[Any, ...] = ()
    """The object of a method; the type arguments of a generic model."""

    @classmethod
    def of(cls, value: Any) -> Named:
        """Raises NoExactForm where something else, or nothing, is found under its name.

        A decorator gives its function the name of another, ``create_model`` makes two classes of one name, and each
        call of a function makes the classes in it anew.
        """
        if isinstance(value, MethodType):
            return cls("method", (value.__func__, value.__self__))
        generic = vars(value).get("__pydantic_generic_metadata__") if isinstance(value, type) else None
        if generic and generic["origin"] is not None:  # the name of ``Box[Item]`` does not say which Item
            return cls("generic", (generic["origin"], generic["args"]))
        name = f"{getattr(value, '__module__', None)}:{value.__qualname__}"
        if isinstance(value, BuiltinFunctionType) and not isinstance(value.__self__, (ModuleType, type(None))):
            return cls(name, (value.__self__,))
        is_class = isinstance(value, type)
        is_of_interpreter = is_class and not value.__flags__ & _HEAP_TYPE
        if not is_of_interpreter and _found(value.__module__, value.__qualname__) is not value:
            what = "class" if is_class else "function"
            raise NoExactForm(f"the {what} {name} has a name that may be that of others")
        return cls(name)


def is_found_by_name(value: Any, name: object) -> bool:
    """Whether a value is the only one of its name, as ``pickle`` is told of ``...`` and ``typing.Union``."""
    module = getattr(value, "__module__", None) or type(value).__module__
    return isinstance(name, str) and _found(module, name) is value


def _found(module: str | None, qualname: str) -> Any:
    found: Any = sys.modules.get(module or "")
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found
