"""What an application gets that serves an engine: the life of the engine, and streams that close at a shutdown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from aiohttp import web

from reactor.engine import Engine
from reactor.ports.access import SharesAccess
from reactor_web.guard.access import GUARD
from reactor_web.guard.guard import Guard
from reactor_web.guard.hosts import LOOPBACK, check_hosts
from reactor_web.http.keys import HOSTS


def protect(app: web.Application, guard: Guard, *, allowed_hosts: Iterable[str] = ()) -> Guard:
    """Says who may ask the routes of one's own in this application: ``add_stream``, ``add_start`` and the others.

    ``mount`` does it, too: an application that has mounted the routes need not. Returns the guard, which lives with the
    application. Raises ValueError where another guard was given before.
    """
    app[HOSTS] = check_hosts(allowed_hosts) | app.get(HOSTS, LOOPBACK)
    before = app.get(GUARD)
    if before is guard:
        return guard
    if before is not None and before.is_configured and guard.is_configured:
        raise ValueError("this application has a guard already: give the same one to all that is mounted in it")
    if before is not None and not before.is_configured and not before.is_insecure and guard.is_configured:
        raise ValueError("routes are mounted in this application without a guard: give mount() this one, too")
    if before is None or guard.is_configured:
        app[GUARD] = guard

    async def run(_: web.Application) -> AsyncIterator[None]:
        await guard.start()
        yield
        await guard.close()

    app.cleanup_ctx.append(run)
    return guard


def run_engine(app: web.Application, engine: Engine) -> None:
    """Enters the engine when the application starts, and drains it when it stops.

    Whoever has entered it before also leaves it. A guard shares what the log of the engine shares.
    """

    async def run(_: web.Application) -> AsyncIterator[None]:
        if engine.is_accepting:
            await _share(app, engine)
            yield
            return
        async with engine:
            await _share(app, engine)
            yield

    app.cleanup_ctx.append(run)


async def _share(app: web.Application, engine: Engine) -> None:
    guard = app.get(GUARD)
    if guard is not None and isinstance(engine.log, SharesAccess):
        await guard.share(engine.log.access)
