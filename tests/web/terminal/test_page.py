"""``docs/commands.md`` shows what the commands print."""

from __future__ import annotations

from tests.web.terminal.describe import PAGE, page


def test_the_page_is_what_the_commands_print_now() -> None:
    """It is written by ``python -m tests.web.terminal.describe``."""
    assert PAGE.read_text() == page()
