"""``examples/cluster``: three nodes, Redis and nginx, of which one node is killed while a client follows its runs."""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.helpers.nginx import find_nginx
from tests.helpers.paths import ROOT, block_of
from tests.helpers.redis import find_redis
from tests.helpers.warm import start_python

SCRIPT = ROOT / "examples/cluster/watch.py"


@pytest.mark.slow
def test_a_node_is_killed_and_nobody_misses_an_event() -> None:
    """The example checks it itself: each event once and in order, each body once, each run to its end. Afterwards none
    of its processes is left."""
    find_redis()
    find_nginx()
    with start_python(SCRIPT, "--once", new_session=True, COLUMNS="200") as process:
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0, out + err
    assert "6 runs: each event once and in order, each run to its end" in out
    assert out.count("kill -9") == 1
    pids = [int(found) for found in re.findall(r"^(?:redis|node\d|nginx) +(\d+) +runs", out, re.MULTILINE)]
    assert len(pids) == 4
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_the_page_tells_nginx_what_the_example_tells_it() -> None:
    """Each line of docs/cluster.md that is about several nodes stands in the configuration that was tried."""
    tried = (ROOT / "examples/cluster/parts.py").read_text()
    lines = [line.partition("#")[0].strip() for line in block_of("docs/cluster.md", "nginx").splitlines()]
    servers = [line for line in lines if line.startswith("server ") and line.endswith(";")]
    assert len(servers) == 3
    assert {line.split(maxsplit=2)[2] for line in servers} == {"max_fails=1 fail_timeout=1s;"}
    for told in (
        "max_fails=1 fail_timeout=1s;",
        *(line for line in lines if line.startswith("proxy_") and "pass" not in line),
    ):
        assert told in tried
