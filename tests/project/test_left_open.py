"""A test that leaves a socket open is named where its warning fails another one."""

from __future__ import annotations

import socket

import pytest

from tests.helpers.left_open import name_who_left_it

WARNINGS = (
    "ResourceWarning: unclosed <socket.socket fd={}, family=2, type=1, proto=0, laddr=('127.0.0.1', 46801)>",
    "PytestUnraisableExceptionWarning: Exception ignored in: <socket.socket fd={}, family=2, type=1, proto=0>",
    "ResourceWarning: unclosed transport <_SelectorSocketTransport fd={} read=polling write=<idle, bufsize=0>>",
)


@pytest.mark.parametrize("warning", WARNINGS)
def test_the_report_of_an_unclosed_socket_says_which_test_made_it(warning: str) -> None:
    """By its descriptor, in all words that Python, asyncio and pytest have for it."""
    with socket.socket() as left:
        text = warning.format(left.fileno())
    report = pytest.TestReport("innocent", ("", 0, ""), {}, "failed", text, "call")
    name_who_left_it(report)
    ((_, said),) = report.sections
    assert said.splitlines()[-1].endswith("(call)")
    assert "test_the_report_of_an_unclosed_socket_says_which_test_made_it" in said.splitlines()[-1]
