"""A certificate for ``localhost``, made for the tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

MAKE_CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    " -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``cert.pem`` and ``key.pem``."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


def make_certificate(place: Path) -> Path:
    """Writes ``cert.pem`` and ``key.pem`` into this folder."""
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with openssl, which is not here")
    made = subprocess.run(
        [*MAKE_CERTIFICATE.split(), "-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem")],
        capture_output=True,
    )
    if made.returncode:
        pytest.skip(f"openssl makes no certificate: {made.stderr.decode()[-200:]}")
    return place
