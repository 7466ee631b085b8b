"""A server process that is ended and started again, at one address and on one file."""

from __future__ import annotations

import signal
from pathlib import Path
from urllib.request import Request, urlopen

import orjson

from tests.helpers.command import start_reactor, start_server
from tests.helpers.paths import ROOT

FLOW = ROOT / "tests/helpers/tokens.py"


class Life:
    """A server that can be ended and started again at the same address, on the same file."""

    def __init__(self, store: Path, *options: str, flow: Path | str = FLOW) -> None:
        self.store = f"sqlite:///{store}"
        self.flow, self.options = flow, options
        self.url, self.process = start_server(flow, "--store", self.store, *options)
        self.base = self.url.removesuffix("/api/v1")

    def end(self, how: str) -> None:
        self.process.send_signal(getattr(signal, how))
        self.process.communicate(timeout=30)

    def begin_again(self) -> None:
        port = self.base.rpartition(":")[2]
        self.process = start_reactor("serve", self.flow, "--store", self.store, *self.options, "--port", port)
        assert "serving" in self.process.stdout.readline()

    def start_run(self, *, key: str = "", **input: object) -> None:
        body = orjson.dumps({"workflow": "tokens", "input": input})
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        with urlopen(Request(f"{self.url}/runs/a1", body, headers, method="PUT")) as response:
            assert response.status == 201
