"""``/metrics``: what this server has done, and what goes on in it, for Prometheus."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from typing import Any, Final

from aiohttp import web

from reactor_web.guard.access import needs
from reactor_web.guard.admission import admission_of
from reactor_web.guard.principal import Scope
from reactor_web.http.negotiation import must_choose
from reactor_web.http.problems import Problem
from reactor_web.http.sending import PacedResponse
from reactor_web.metrics.gathered import METRICS, Metrics
from reactor_web.routes.methods import chooses_form

_PAGE: Final = "reactor_web.metrics.page"
"""Imports prometheus_client, which takes 70 ms."""
_ALL: Final = (None, ("*",))
"""Patterns that leave nothing out."""


def routes() -> list[web.RouteDef]:
    return [web.get("/metrics", get_metrics)]


@needs(Scope.ADMIN)
@chooses_form
async def get_metrics(request: web.Request) -> web.Response:
    """The page, as text or as OpenMetrics."""
    check_sees_all(request)
    must_choose(request.headers.get("Accept"), ("text/plain", "application/openmetrics-text"))
    metrics = request.config_dict.get(METRICS)
    if metrics is None:
        raise Problem(404, "this server counts nothing: it was mounted with metrics=False")
    return await metrics_response(metrics, request.headers.get("Accept", ""))


def check_sees_all(request: web.Request) -> None:
    """Raises Problem 403 for who sees one tenant, some runs or some workflows: the numbers are those of all."""
    admission = admission_of(request)
    if admission is None:
        return
    who = admission.principal
    if who.tenant or who.runs not in _ALL or who.workflows not in _ALL:
        detail = "the metrics are about all runs, and this credential is for some of them"
        raise Problem(403, detail, code="forbidden-scope")


async def metrics_response(metrics: Metrics, accept: str) -> web.Response:
    """The page as a response."""
    if _PAGE not in sys.modules:
        await asyncio.to_thread(import_module, _PAGE)
    page: Any = sys.modules[_PAGE]
    if metrics.registry is None:
        metrics.registry = page.registry_of(metrics)
    body, content_type = page.page(metrics.registry, accept)
    return PacedResponse(body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})
