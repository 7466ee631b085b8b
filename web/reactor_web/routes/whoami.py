"""``/whoami``: what the server takes who asks for. A page shows what its user may do, and nothing else."""

from __future__ import annotations

from aiohttp import web

from reactor_web.guard.access import needs
from reactor_web.guard.admission import principal_of
from reactor_web.guard.principal import Scope
from reactor_web.http.body import json_response


def routes() -> list[web.RouteDef]:
    return [web.get("/whoami", get_principal)]


@needs(Scope.READ)
async def get_principal(request: web.Request) -> web.Response:
    """The name of who asks, and what they may do and see."""
    principal = principal_of(request)
    return json_response({
        "id": principal.id,
        "scopes": sorted(principal.scopes),
        "runs": principal.runs,
        "workflows": principal.workflows,
        "tenant": principal.tenant,
        "expires": principal.expires,
    })  # fmt: skip
