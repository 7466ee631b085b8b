"""The files of the project that a process has imported: no libraries, and nothing of the interpreter."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from reactor_web.terminal.load import is_users


def imported_files() -> set[str]:
    """The files of all modules, as absolute paths."""
    files: set[str] = set()
    for module in tuple(sys.modules.values()):
        try:
            file = vars(module).get("__file__")
        except Exception:  # a lazy object in the place of a module, of a library that fails to load
            continue
        if isinstance(file, str):
            files.add(file)
    return _of_project(files)


def files_of_error(error: BaseException) -> set[str]:
    """The files that led to an error: a module that cannot be imported is no longer among the modules."""
    files: set[str] = set()
    one: BaseException | None = error
    while one is not None:
        files |= {frame.f_code.co_filename for frame, _ in traceback.walk_tb(one.__traceback__)}
        if isinstance(one, SyntaxError) and one.filename:
            files.add(one.filename)
        one = one.__cause__ or one.__context__
    return _of_project(files)


def _of_project(files: set[str]) -> set[str]:
    return {str(Path(file).absolute()) for file in files if is_users(Path(file))}
