"""What applications emit in the vocabulary of AG-UI, with wrong members: the vendor's client goes on reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.helpers.ag_ui_words import SAID, WRONG, before, members
from tests.helpers.agui import Verifier, frames_of, messages_in
from tests.helpers.ai_sdk import ended, log_of


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    """The vendor's client."""
    with Verifier() as verifier:
        yield verifier


def refusal(verifier: Verifier, said: Sequence[tuple[str, dict[str, Any]]], *, session: bool) -> str | None:
    """Why the client refuses the stream of a run in which this was emitted."""
    return verifier.verify(frames_of(ended(*said, session=session))).error


@pytest.mark.parametrize("session", [True, False])
@pytest.mark.parametrize("type", SAID)
def test_no_member_makes_clients_refuse_the_stream(verifier: Verifier, type: str, session: bool) -> None:
    """Each member, missing or of each wrong kind: it is left out, or the event is a ``CUSTOM``; nothing breaks off."""
    refused: list[tuple[str, Any, str]] = []
    for name in members(type):
        for wrong in WRONG:
            data = {key: value for key, value in SAID[type].items() if key != name}
            if wrong is not ...:
                data[name] = wrong
            why = refusal(verifier, [*before(type), (type, data)], session=session)
            refused += [] if why is None else [(name, wrong, why)]
    assert refused == []


@pytest.mark.parametrize("type", SAID)
def test_what_is_right_passes_as_it_is(verifier: Verifier, type: str) -> None:
    """In a session, where nothing but the application makes events of the vocabulary."""
    said = [*before(type), (type, SAID[type])]
    assert refusal(verifier, said, session=True) is None
    made = messages_in(frames_of(log_of(*said, session=True)))
    content = {"delta": "d"}.items()
    assert any(message.items() >= SAID[type].items() or message.items() >= content for message in made)
    assert type == "CUSTOM" or not any(message["type"] == "CUSTOM" for message in made)


def test_an_end_belongs_to_whom_the_beginning_does(verifier: Verifier) -> None:
    """A step of a subagent that the application leaves open is closed as one of that subagent."""
    said = [
        ("SUBAGENT_STARTED", {"subagentRunId": "s", "name": "n"}),
        ("STEP_STARTED", {"stepName": "x", "subagentRunId": "s"}),
        ("TEXT_MESSAGE_START", {"messageId": "m", "subagentRunId": "s"}),
        ("TEXT_MESSAGE_CONTENT", {"messageId": "m", "delta": "d", "subagentRunId": "another"}),
    ]
    assert refusal(verifier, said, session=True) is None
    made = messages_in(frames_of(ended(*said, session=True)))
    assert [message["subagentRunId"] for message in made if message.get("stepName") == "x"] == ["s", "s"]
    assert [message["subagentRunId"] for message in made if message.get("delta") == "d"] == ["s"]
