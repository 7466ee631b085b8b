"""Fixtures for clients without a handler."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

MAKE_CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    " -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
)


@pytest.fixture(autouse=True)
def nothing_goes_wrong(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that a client does is logged as an error: not by us, not by aiohttp, not by the loop."""
    yield
    wrong = [record for record in caplog.records if record.levelno >= logging.WARNING]
    ours = [record for record in wrong if record.name.startswith("reactor") and record.levelno < logging.ERROR]
    assert [record.getMessage() for record in wrong if record not in ours] == []


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with openssl, which is not here")
    place = tmp_path_factory.mktemp("tls")
    made = subprocess.run(
        [*MAKE_CERTIFICATE.split(), "-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem")],
        capture_output=True,
    )
    if made.returncode:
        pytest.skip(f"openssl makes no certificate: {made.stderr.decode()[-200:]}")
    return place


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> Path | None:
    """Runs a test twice, without TLS and with it."""
    return request.getfixturevalue("certificate") if request.param == "tls" else None
