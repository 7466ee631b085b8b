"""The JavaScript reader gives what the standard says, however the network cuts a stream."""

from __future__ import annotations

import json
import subprocess

from tests.helpers.node import node_script
from tests.helpers.paths import ROOT

VECTORS = ROOT / "tests/web/sse/vectors.json"


def test_vectors_whole_and_cut_at_every_byte() -> None:
    """The vectors that the Python parser is held to; a retry counts only if it is ASCII digits."""
    done = subprocess.run([*node_script("reader.mjs"), str(VECTORS)], capture_output=True, check=True, timeout=60)
    cases = json.loads(VECTORS.read_bytes())
    answers = [json.loads(line) for line in done.stdout.decode().split("\n") if line]
    assert len(answers) == len(cases["frames"]) + len(cases["retry"])
    for case, answer in zip(cases["frames"], answers, strict=False):
        assert answer["frames"] == case["frames"], case["name"]
    for case, answer in zip(cases["retry"], answers[len(cases["frames"]) :], strict=True):
        assert answer["retry"] == case["retry"], case["body"][:40]
    assert all(answer["alike"] for answer in answers)
