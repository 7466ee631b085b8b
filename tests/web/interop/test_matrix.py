"""The interop matrix: each client that others have written, by each route, loses nothing and is given nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.web.interop.describe import PAGE, cell, page, without_counts
from tests.web.interop.law import Judges, check, judging, verdict
from tests.web.interop.matrix import CLIENTS, NOTES, ROUTES, TOGETHER
from tests.web.interop.network import CUTS
from tests.web.interop.running import Outcome, run_matrix
from tests.web.interop.seen import Line, Seen

pytestmark = pytest.mark.slow

Outcomes = dict[tuple[str, str], Outcome]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """All cells, run once."""
    return asyncio.run(run_matrix(tmp_path_factory.mktemp("interop")))


@pytest.fixture(scope="module")
def judges() -> Iterator[Judges]:
    with judging() as judges:
        yield judges


@pytest.mark.parametrize("route", [route.name for route in ROUTES])
@pytest.mark.parametrize("client", [client.name for client in CLIENTS])
def test_a_client_gets_everything_once_and_ends_by_itself(
    client: str, route: str, outcomes: Outcomes, judges: Judges
) -> None:
    """It was live, was cut in the middle of tokens, came back for what it had missed, and was live again."""
    check(outcomes[client, route], judges)


def test_the_page_says_what_is_seen(outcomes: Outcomes, judges: Judges) -> None:
    """``docs/interop.md`` has these clients, these routes and these verdicts; its counts change with each run."""
    cells = {place: cell(outcome, verdict(outcome, judges)) for place, outcome in outcomes.items()}
    assert without_counts(PAGE.read_text()) == without_counts(page(cells)), "python -m tests.web.interop.describe"


def test_a_client_behind_the_cutting_proxy_is_cut_more_than_once(outcomes: Outcomes) -> None:
    """Otherwise the column says no more than the first. Some cuts leave nothing of a response that a client sees."""
    opened = [outcome.seen.opened for (_, route), outcome in outcomes.items() if route == "random"]
    assert all(2 <= count <= CUTS + 1 for count in opened), opened
    assert sum(opened) >= 3 * len(opened), opened


def test_every_route_is_run_and_every_note_has_its_cell() -> None:
    """The tables name nothing that is not there, and nothing is left out."""
    assert sorted(name for names in TOGETHER for name in names) == sorted(route.name for route in ROUTES)
    assert set(NOTES) <= {(client.name, route.name) for client in CLIENTS for route in ROUTES}


# --- the law can fail -------------------------------------------------------------------------------------------


def _without(lines: list[Line]) -> list[Line]:
    return [*lines[:20], *lines[21:]]


def _twice(lines: list[Line]) -> list[Line]:
    return [*lines[:20], lines[19], *lines[20:]]


def _turned(lines: list[Line]) -> list[Line]:
    return [*lines[:20], lines[21], lines[20], *lines[22:]]


def _shorter(lines: list[Line]) -> list[Line]:
    key = "data" if "data" in lines[20] else "chunk"
    changed: dict[str, Any] = {**lines[20], key: lines[20][key][:-1] if key == "data" else {"type": "finish"}}
    return [*lines[:20], changed, *lines[21:]]


def _after_the_end(lines: list[Line]) -> list[Line]:
    return [*lines, lines[20]]


def _endless(lines: list[Line]) -> list[Line]:
    return lines[:-1]


@pytest.mark.parametrize("spoil", [_without, _twice, _turned, _shorter, _after_the_end, _endless])
@pytest.mark.parametrize("client", ["EventSource", "curl", "WebSocket", "ai 7: WorkflowChatTransport"])
def test_what_is_lost_doubled_or_made_up_is_found(
    client: str, spoil: Callable[[list[Line]], list[Line]], outcomes: Outcomes, judges: Judges
) -> None:
    """One line less, more or changed, and the cell is not whole."""
    outcome, spoilt = outcomes[client, "direct"], Seen()
    for line in spoil(list(outcome.seen.lines)):
        spoilt.note(line)
    spoilt.close()
    with pytest.raises(AssertionError):
        check(Outcome(outcome.client, spoilt, outcome.log), judges)
