"""How another process finds a function: by a module or a file, and a name in it."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from reactor.events.values import short_repr

MAIN: Final = "__reactor_main__"
"""The name of the ``__main__`` module in a worker, so that ``if __name__ == "__main__"`` does not run there."""


class Address(NamedTuple):
    """``pkg.module:measure`` or ``/path/flow.py:measure``. For a file, ``module`` is the name it is loaded under."""

    place: str
    module: str
    qualname: str

    def __str__(self) -> str:
        return f"{self.place}:{self.qualname}"

    @property
    def is_file(self) -> bool:
        return self.place != self.module


def address_of(function: Any) -> Address:
    """The address of ``function``. Its module may still be in the middle of its own import.

    Raises ValueError for what another process cannot import: a lambda, a function inside a function, a method, or an
    object that is not a function.
    """
    name, module = getattr(function, "__qualname__", None), getattr(function, "__module__", None)
    if _is_bound(function) or not isinstance(name, str) or not isinstance(module, str):
        raise ValueError(f"{short_repr(function)} is not a function at module level, so a process cannot import it")
    if "<lambda>" in name:
        raise ValueError("it is a lambda, and a process cannot import it: write a def at module level")
    if "<locals>" in name:
        raise ValueError(f"{name} is defined inside a function, and a process cannot import it: move it to its module")
    if module not in sys.modules:
        raise ValueError(f"{name} claims to be from {module}, which has not been imported")
    return _address_in(sys.modules[module], module, name)


def check_address(function: Callable[..., Any]) -> None:
    """Call it once the function's module is imported: raises ValueError if its name there now means something else."""
    address = address_of(function)
    module = sys.modules[function.__module__]
    try:
        found = _function_in(module, address.qualname)
    except LookupError as error:
        raise ValueError(str(error)) from None
    if found is not function:
        raise ValueError(f"{address} is no longer this function, so a process would find something else under its name")


def resolve(address: Address) -> Callable[..., Any]:
    """Imports a function in a worker; raises LookupError, with a sentence, for anything that goes wrong."""
    try:
        with importing:
            module = _module_of(address)
    except Exception as error:
        raise LookupError(f"{address.place} cannot be imported: {type(error).__name__}: {error}") from error
    return _function_in(module, address.qualname)


# --- modules ---


class Importing:
    """Whether this process is importing a function for another process at the moment: ``now``."""

    def __init__(self) -> None:
        self.now = False

    def __enter__(self) -> None:
        self.now = True

    def __exit__(self, *_: object) -> None:
        self.now = False


importing: Final = Importing()


def _module_of(address: Address) -> ModuleType:
    return load_file(address.place, address.module) if address.is_file else importlib.import_module(address.place)


def main_place() -> tuple[str, str] | None:
    """``(path, name in a worker)`` of this process's ``__main__``; None if it comes from no file."""
    main = sys.modules["__main__"]
    path = _file_of(main)
    return None if path is None else (path, _main_name(main))


def load_file(path: str, name: str) -> ModuleType:
    """The module of a file, loaded once under ``name``; raises ImportError, or what the module raises."""
    loaded = sys.modules.get(name)
    if loaded is not None and _file_of(loaded) == path:
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    before = {key: sys.modules.get(key) for key in _names(name)}
    sys.modules.update(dict.fromkeys(before, module))  # dataclasses and pickle look up the module of a class
    try:
        spec.loader.exec_module(module)
    except BaseException:
        _restore(before)
        raise
    return module


def _names(name: str) -> tuple[str, ...]:
    # pickles from the parent process refer to its __main__
    return (name, "__main__") if name.rpartition(".")[2] == MAIN else (name,)


def _restore(modules: dict[str, ModuleType | None]) -> None:
    for name, module in modules.items():
        if module is None:
            del sys.modules[name]
        else:
            sys.modules[name] = module


@functools.lru_cache(maxsize=1024)  # every start of a body calls it, and it reads the file system
def _address_in(module: ModuleType, module_name: str, qualname: str) -> Address:
    if module_name != "__main__" and _can_be_imported(module):
        return Address(module_name, module_name, qualname)
    path = _file_of(module)
    if path is None or not Path(path).is_file():
        raise ValueError(f"{qualname} of {module_name} is not in a file, so a process cannot import it")
    return Address(path, _main_name(module) if module_name == "__main__" else module_name, qualname)


def _main_name(main: ModuleType) -> str:
    """The name of ``__main__`` in a worker; within its package if it was started with ``-m``, for relative imports."""
    package = main.__spec__.parent if main.__spec__ is not None else ""
    return f"{package}.{MAIN}" if package else MAIN


def _file_of(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    return None if file is None else str(Path(file).absolute())


def _can_be_imported(module: ModuleType) -> bool:
    """Whether another process that imports the module by its name finds the same file."""
    parent, _, _ = module.__name__.rpartition(".")
    if parent and not (parent in sys.modules and _can_be_imported(sys.modules[parent])):
        return False
    spec = _find_spec(module.__name__, sys.modules[parent].__path__ if parent else None)
    if spec is None:
        return False
    file = _file_of(module)
    if file is None:  # a namespace package, or a built-in module
        return spec.origin == getattr(module.__spec__, "origin", None)
    return spec.origin is not None and str(Path(spec.origin).absolute()) == file


def _find_spec(name: str, path: Any) -> ModuleSpec | None:
    """Like ``importlib.util.find_spec``, but without ``sys.modules``, which only this process has."""
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path, None)
        if spec is not None:
            return spec
    return None


# --- names ---


def _function_in(module: ModuleType, qualname: str) -> Callable[..., Any]:
    found: Any = module
    for part in qualname.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise LookupError(f"{module.__name__} has no {qualname}") from None
    # @flow.task puts a Task under the name of the function
    function: Any = found if inspect.isfunction(found) else getattr(found, "function", found)
    if not callable(function):
        raise LookupError(f"{qualname} of {module.__name__} is {short_repr(function)}, not a function")
    return function


def _is_bound(function: object) -> bool:
    return inspect.ismethod(function) or isinstance(function, functools.partial)
