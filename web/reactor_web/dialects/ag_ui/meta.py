"""What the run of a thread remembers, in its meta, of the request that started it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

import orjson

from reactor_web.bounds import AGENT_SENT_STATE_BYTES

_NAME: Final = "ag_ui"


class Request(NamedTuple):
    """What tells a request that comes again from a new one."""

    thread_id: str
    run_id: str
    message_id: str | None
    """Of the last message of the user."""


def meta_of(request: Request, state: Any) -> dict[str, Any]:
    """The meta of a run that this request starts. ``state``: what the client has sent; a large one is not kept."""
    kept: dict[str, Any] = {"thread": request.thread_id, "run": request.run_id, "message": request.message_id}
    if state and isinstance(state, dict) and len(orjson.dumps(state)) <= AGENT_SENT_STATE_BYTES:
        kept["state"] = state
    return {_NAME: kept}


def request_of(meta: Mapping[str, Any] | None) -> Request | None:
    """The request that started a run; None for a run that was started otherwise."""
    kept = (meta or {}).get(_NAME)
    if not isinstance(kept, dict):
        return None
    members = cast("dict[str, Any]", kept)
    return Request(str(members.get("thread")), str(members.get("run")), members.get("message"))


def sent_state(meta: Mapping[str, Any]) -> Any:
    """The state that the client of a run has sent; None if there is none."""
    kept = meta.get(_NAME)
    return cast("dict[str, Any]", kept).get("state") if isinstance(kept, dict) else None
