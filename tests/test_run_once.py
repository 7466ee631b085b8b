"""A body that does not stop keeps no process: loops end in bounded time, and say who is left."""

from __future__ import annotations

import pytest

from tests.helpers.command import reactor
from tests.helpers.paths import ROOT
from tests.helpers.stuck import KINDS
from tests.helpers.warm import start_python

LEAVES = {"swallows", "swallows_twice", "waits_in_finally", "shields", "checks", "waits_for_its_task"}
"""Those that are in the loop to the end, and so are named."""
SECONDS = 30
"""They end within some two; without an end this is the time that the test takes to fail."""


@pytest.mark.parametrize(
    ("kind", "how"), [*((kind, "run") for kind in KINDS), ("swallows", "engine"), ("checks", "engine")]
)
def test_a_body_that_does_not_stop_keeps_no_process(kind: str, how: str) -> None:
    """After its timeout the run fails, and the program goes on to its own end; the log names who was left behind.

    ``engine``: so does a program whose loop is its own.
    """
    with start_python("-m", "tests.helpers.stuck", kind, how) as process:
        out, err = process.communicate(timeout=SECONDS)
    assert (out, process.returncode) == ("RunFailed\n", 3), err
    if kind in LEAVES:
        assert "left behind" in err
        assert "bad" in err.partition("left behind")[2]


def test_reactor_run_ends_although_a_body_swallows_its_cancel() -> None:
    """The run fails by the timeout of the body: the command ends, with the code that says so."""
    done = reactor("run", ROOT / "tests/helpers/stuck.py", "--json")
    assert done.returncode == 1, done.stderr
    assert '"run.failed"' in done.stdout.splitlines()[-1]
    assert "left behind" in done.stderr
