"""The turns of a chat: what the body of ``POST /api/chat`` says, and the id of the run that answers it.

The id is made of the body alone. So a request that comes twice finds the run of the first one, also after a restart.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

from reactor.events.values import json_kind
from reactor_web.dialects.ai_sdk import CHAT_MESSAGE
from reactor_web.http.problems import Problem

CHAT: Final = "chat"
"""The member of a run's meta that has the id of the chat; empty for a client that names none."""

REGENERATE: Final = "regenerate-message"

_READABLE: Final = re.compile(r"[A-Za-z0-9_~-]{1,40}")


@dataclass(frozen=True, slots=True)
class Turn:
    """A message of the assistant that a client asks for."""

    chat: str | None
    """The id of the chat; None where the client names none (``WorkflowChatTransport`` does not, by itself)."""
    messages: int
    """How many messages the chat has so far."""
    digest: str
    """Tells requests apart: of the messages and of what the client wants."""
    is_again: bool
    """The client has an answer and asks for another one."""
    continues: str | None
    """The id of the last message, if that is the assistant's: the answer goes on with it."""

    def run_id(self, attempt: int) -> str | None:
        """``<chat>.<messages>.<digest>``, ``….2`` for the second attempt; None: any id, since nobody can ask again."""
        if self.chat is None:
            return None
        is_readable = _READABLE.fullmatch(self.chat)
        token = self.chat if is_readable else f"chat-{hashlib.sha256(self.chat.encode()).hexdigest()[:20]}"
        return f"{token}.{self.messages}.{self.digest}" + (f".{attempt}" if attempt > 1 else "")

    @property
    def meta(self) -> dict[str, Any]:
        """What the run remembers of it."""
        return {CHAT: self.chat or "", **({} if self.continues is None else {CHAT_MESSAGE: self.continues})}


def read_turn(path: str, body: Any) -> Turn:
    """The turn that a body asks for; raises Problem 422. ``path``: that of the route."""
    if not isinstance(body, dict):
        raise Problem(422, f"the body must be a JSON object, not {json_kind(body)}")
    given = cast("dict[str, Any]", body)
    messages, chat, trigger = given.get("messages"), given.get("id"), given.get("trigger")
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in cast("list[Any]", messages)):
        raise Problem(422, "the body must have messages, a list of objects: {id, messages, trigger}")
    if chat is not None and not (isinstance(chat, str) and chat):
        raise Problem(422, f"id must be the id of the chat, text that is not empty, not {json_kind(chat)}")
    said = cast("list[dict[str, Any]]", messages)
    wants = orjson.dumps([path, chat, trigger, given.get("messageId"), said], option=orjson.OPT_SORT_KEYS)
    last = said[-1] if said else {}
    id = last.get("id") if last.get("role") == "assistant" else None
    return Turn(
        chat=chat,
        messages=len(said),
        digest=hashlib.sha256(wants).hexdigest()[:10],
        is_again=trigger == REGENERATE,
        continues=id if isinstance(id, str) and id else None,
    )
