"""How a command ends: its exit code, and one sentence for what it could not do."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import typer

from reactor.errors import LogLost, LogUnavailable, ReactorError
from reactor.run_once import run_on_own_loop
from reactor_web.client.errors import StreamRefused, StreamUnavailable
from reactor_web.terminal.admin import AdminPortTaken
from reactor_web.terminal.given import refuse
from reactor_web.terminal.lines import printable


def exit_after(
    main: Coroutine[Any, Any, int], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> NoReturn:
    """Carries a command out on a loop of its own and ends with its exit code; docs/commands.md has the table."""
    code, left = 2, list[str]()
    try:
        code = run_on_own_loop(main, loop_factory, left=left.append)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # ``reactor run … | head``: the run has been cancelled, and there is nobody to tell
        os._exit(128 + 13)  # without another flush, which would fail, too
    except LogUnavailable as error:
        refuse(printable(f"--store: {error}"))
    except (AdminPortTaken, StreamRefused, StreamUnavailable, LogLost, ReactorError) as error:
        refuse(printable(str(error)))
    finally:
        if left:  # a thread or a task that does not stop must not keep the process
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    raise typer.Exit(code)
