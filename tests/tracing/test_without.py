"""Without an SDK nothing of this is imported, and nothing is computed."""

from __future__ import annotations

import logging
import sys

import pytest

from reactor import Context, Engine, Workflow
from reactor.tracing import environment
from reactor.tracing.environment import configure_tracing
from reactor.tracing.keys import SpanIds
from reactor.tracing.spans import SpanFold
from tests.helpers.command import run_code

_RUN = """
import asyncio, sys
from reactor import Context, Engine, Workflow

flow = Workflow("f")

@flow.task
async def a(ctx: Context):
    async with ctx.llm_call("m"):
        return ctx.traceparent

async def main():
    async with Engine() as engine:
        return await (await engine.start(flow, traceparent=TRACEPARENT))

print(asyncio.run(main())["a"])
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


def test_nothing_is_imported_unless_the_process_has_done_so() -> None:
    """Whoever sets up an SDK has imported the API; so one look into ``sys.modules`` is all that an engine does."""
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    ran = run_code(f"TRACEPARENT = {traceparent!r}\n{_RUN}")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split("\n")[:2] == [traceparent, "[]"]


async def test_with_the_api_alone_nothing_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its provider makes no spans: no id is made, no event is looked at, no context is set."""
    import opentelemetry.trace  # noqa: F401  # as an instrumented library does

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something of the spans was called")

    for kind, methods in {SpanIds: ("__init__", "span_id"), SpanFold: ("__init__", "add")}.items():
        for method in methods:
            monkeypatch.setattr(kind, method, refuse)
    flow = Workflow("f")

    @flow.task
    async def a(ctx: Context) -> int:
        async with ctx.llm_call("m"):
            return 1

    async with Engine() as engine:
        run = await engine.start(flow)
        assert await run == {"a": 1}
        assert engine._common.tracing is None


@pytest.mark.parametrize(
    ("exporter", "reason"),
    [
        ("jaeger", "LookupError: no package is installed that has the exporter jaeger"),
        ("otlp", "LookupError: no package is installed that has the exporter otlp_proto_http or otlp_proto_grpc"),
        ("console,zipkin", "LookupError: no package is installed that has the exporter zipkin"),
    ],
)
def test_an_exporter_that_is_not_there_is_said(
    exporter: str, reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server serves all the same."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", exporter)
    assert not configure_tracing()
    [line] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert line.getMessage().endswith(f"exporter={exporter} reason={reason}")


@pytest.mark.parametrize("exporter", ["", "none"])
def test_nothing_is_set_up_that_nobody_asked_for(exporter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default of a server."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", exporter)
    monkeypatch.setattr(environment, "_exporter", None)
    assert not configure_tracing()


def test_an_sdk_that_is_not_installed_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line, and what is missing."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert not configure_tracing()
    assert "reason=opentelemetry-sdk is not installed" in caplog.text
