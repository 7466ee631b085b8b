"""Sets up the SDK of OpenTelemetry as the standard ``OTEL_*`` variables say.

For processes that nobody else sets up: ``reactor serve``, and the worker processes of bodies. Exporters are found by
the names under which their packages enter them; the SDK itself reads all other variables: service name, resource,
sampler, endpoint, headers, delays.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from reactor.logger import get_logger

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

logger = get_logger()

EXPORTER: Final = "OTEL_TRACES_EXPORTER"
"""``otlp``, ``console``, or several with commas; without it, or with ``none``, nothing is set up."""
_PROTOCOL: Final = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"
_OTLP: Final = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""The protocols of OTLP, the one that is the default first, and the names of their exporters."""
_GROUP: Final = "opentelemetry_traces_exporter"


def configure_tracing() -> bool:
    """Whether an SDK was set up. Not where the process has one already, or where none is asked for.

    Where one is asked for and cannot be set up, a line in the log says why, and nothing is traced.
    """
    wanted = os.environ.get(EXPORTER, "").strip()
    if wanted in ("", "none"):
        return False
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        return _say(wanted, "opentelemetry-sdk is not installed")
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return False  # set up before, by opentelemetry-instrument say
    try:
        exporters = [_exporter(name.strip()) for name in wanted.split(",")]
        provider = TracerProvider()
    except Exception as error:  # also of an exporter that refuses its settings
        return _say(wanted, f"{type(error).__name__}: {error}")
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return True


def _exporter(name: str) -> SpanExporter:
    """Raises LookupError where no package has an exporter of this name."""
    protocol = next((os.environ[variable] for variable in _PROTOCOL if variable in os.environ), None)
    if name != "otlp":
        names = [name]
    elif protocol is None:
        names = list(_OTLP.values())
    else:
        names = [_OTLP.get(protocol, protocol)]
    for wanted in names:
        for entry in entry_points(group=_GROUP, name=wanted):
            return entry.load()()
    raise LookupError(f"no package is installed that has the exporter {' or '.join(names)}")


def _say(wanted: str, why: str) -> bool:
    logger.warning("OTEL_TRACES_EXPORTER is set, but nothing is traced", exporter=wanted, reason=why)
    return False
