"""What an AG-UI client has of an AG-UI run already, when it is sent the run again from its beginning.

A client that comes back has part of the texts, and adds whatever it is sent to them. It says in its request what it
has, so it is sent only the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

Message = dict[str, Any]

_OF_A_CALL: Final = frozenset({"TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT"})
_OF_A_TEXT: Final = frozenset({"TEXT_MESSAGE_CONTENT", "REASONING_MESSAGE_CONTENT"})


class Known:
    """The texts and the calls of tools among the messages of a request."""

    __slots__ = ("_calls", "_texts")

    def __init__(self, messages: Sequence[Mapping[str, Any]]) -> None:
        self._texts: dict[str, int] = {}
        """Message id -> how many characters of it are still to be left out."""
        self._calls: dict[str, bool] = {}
        """Tool call id -> whether the client has its result."""
        for message in messages:
            id, content = message.get("id"), message.get("content")
            if message.get("role") in ("assistant", "reasoning") and isinstance(id, str) and isinstance(content, str):
                self._texts[id] = len(content)
            for call in _list(message.get("toolCalls")):
                if isinstance(call, dict):
                    self._calls.setdefault(str(cast(Message, call).get("id")), False)
            if message.get("role") == "tool":
                self._calls[str(message.get("toolCallId"))] = True

    def __bool__(self) -> bool:
        return bool(self._texts or self._calls)

    def rest_of(self, message: Message) -> Message | None:
        """The message without what the client has; None if it has all of it."""
        type = message["type"]
        if type in _OF_A_CALL and (id := message.get("toolCallId")) in self._calls:
            # of a call without its result the beginning and the end must come again: a result follows its call
            return None if self._calls[id] or type == "TOOL_CALL_ARGS" else message
        if type in _OF_A_TEXT and (left := self._texts.get(message["messageId"], 0)):
            delta: str = message["delta"]
            self._texts[message["messageId"]] = max(0, left - len(delta))
            return {**message, "delta": delta[left:]} if len(delta) > left else None
        return message


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
