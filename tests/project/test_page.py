"""The page in docs/agents.md shows every token once, whatever becomes of the server meanwhile."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import orjson
import pytest

from tests.helpers.command import end, start_reactor, start_server
from tests.helpers.node import Page, find_node
from tests.helpers.paths import ROOT
from tests.helpers.tokens import FIRST, REST

FLOW = ROOT / "tests/helpers/tokens.py"
FIRST_TEXT, WHOLE_TEXT = "".join(FIRST), "".join(FIRST + REST)


def snippet_of(document: str) -> str:
    """The JavaScript of a document, which has one block of it."""
    (code,) = re.findall(r"```js\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    return code


@pytest.fixture
def snippet(tmp_path: Path) -> Path:
    path = tmp_path / "snippet.js"
    path.write_text(snippet_of("docs/agents.md"))
    return path


class Life:
    """A server that can be ended and started again at the same address, on the same file."""

    def __init__(self, store: Path) -> None:
        self.store = f"sqlite:///{store}"
        self.url, self.process = start_server(FLOW, "--store", self.store)
        self.base = self.url.removesuffix("/api/v1")

    def end(self, how: str) -> None:
        self.process.send_signal(getattr(signal, how))
        self.process.communicate(timeout=30)

    def begin_again(self) -> None:
        port = self.base.rpartition(":")[2]
        self.process = start_reactor("serve", FLOW, "--store", self.store, "--port", port)
        assert self.process.stdout is not None
        assert "serving" in self.process.stdout.readline()

    def start_run(self, **input: object) -> None:
        body = orjson.dumps({"workflow": "tokens", "input": input})
        headers = {"Content-Type": "application/json"}
        with urlopen(Request(f"{self.url}/runs/a1", body, headers, method="PUT")) as response:
            assert response.status == 201


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    find_node()
    life = Life(tmp_path / "runs.db")
    yield life
    end(life.process)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_a_restart_in_the_middle_of_the_tokens_doubles_none_and_loses_none(
    how: str, life: Life, snippet: Path, tmp_path: Path
) -> None:
    """The page begins anew with the attempt that recovery starts, and shows that one alone."""
    gate = tmp_path / "gate"
    life.start_run(gate=str(gate))
    with Page(life.base, snippet) as page:
        page.until(FIRST_TEXT)
        life.end(how)
        life.begin_again()
        shown = page.until(FIRST_TEXT)
        assert shown[0] == ""  # cleared before the first token of the next attempt
        gate.touch()
        shown += page.until(WHOLE_TEXT)
        assert all(WHOLE_TEXT.startswith(text) for text in shown)
        assert page.next() is None


def test_a_retry_begins_anew(life: Life, snippet: Path, tmp_path: Path) -> None:
    """An attempt that failed leaves no token behind."""
    gate = tmp_path / "gate"
    life.start_run(gate=str(gate), fails=True)
    with Page(life.base, snippet) as page:
        page.until(FIRST_TEXT)
        gate.touch()
        shown = page.until(WHOLE_TEXT)
        assert "" in shown
        assert all(WHOLE_TEXT.startswith(text) for text in shown)
        assert page.next() is None
