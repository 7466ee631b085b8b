"""The laws of dialects hold on the log of any run: with maps, failures, retries, skips and a cancel at any moment."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from reactor_web import dialects
from reactor_web.testing import DIALECT_LAWS
from tests.helpers.dags import Spec
from tests.helpers.recorded_runs import STOPS, record, small_dags


@pytest.mark.slow
@settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(small_dags(), STOPS)
def test_every_dialect_keeps_every_law(spec: Spec, stop: int | None) -> None:
    """One log, all dialects, all laws; first of them: frames of a prefix are a prefix of the frames."""
    log = record(spec, stop)
    for name in dialects.known():
        for law in DIALECT_LAWS:
            law(dialects.find(name), log)
