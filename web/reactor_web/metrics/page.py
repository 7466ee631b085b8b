"""The page that Prometheus reads: the metrics of an application, and what its process uses."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from reactor_web.metrics.collector import AppCollector
from reactor_web.metrics.gathered import Metrics


def registry_of(metrics: Metrics) -> CollectorRegistry:
    """A registry of what one page shows. What an application registers elsewhere is not on it."""
    registry = CollectorRegistry()
    registry.register(AppCollector(metrics))
    ProcessCollector(registry=registry)
    return registry


def page(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The page and its content type, by the ``Accept`` of the request: text 0.0.4, or OpenMetrics where it is named."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
