"""``GET /runs/{id}?at=seq``: the state of a run as it was. The answer never changes, so a browser may keep it."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from aiohttp import web

from reactor.errors import UnknownSeq
from reactor.runs.run import Run
from reactor.stream.moment import described
from reactor_web.http.body import NoBody, json_response
from reactor_web.http.problems import Problem

_KEPT: Final = {"Cache-Control": "private, max-age=60, immutable", "Vary": "Authorization, Cookie"}
"""Not longer: a deleted run gives its id away, and a key may be revoked. After that it is asked for by its ETag."""


async def state_then(request: web.Request, run: Run, seq: int) -> web.Response:
    """The folded state after the event ``seq``, or 304. Raises UnknownSeq, and Problem 410 for what was trimmed."""
    headers = {**_KEPT, "ETag": f'"{await _tag(run, seq)}"'}
    known = [etag.value for etag in request.if_none_match or ()]
    if seq <= run.feed.last_seq and headers["ETag"].strip('"') in known:
        return NoBody(status=304, headers=headers)
    try:
        state = await run.state_at(seq)
    except UnknownSeq as gone:
        if gone.first is None:
            raise
        ids = {"run_id": run.id, "seq": seq, "first": gone.first}
        raise Problem(410, str(gone), error=type(gone).__name__, **ids) from None
    return json_response(await described(state.copy()), headers=headers)


async def _tag(run: Run, seq: int) -> str:
    """Of this state of this run: another run of this id, and events that a log has lost, make another one."""
    rewound = await run.feed.rewound()
    about = f"{run.tenant}\n{run.id}\n{run.state.started}\n{seq}\n{rewound and rewound.epoch}"
    return sha256(about.encode()).hexdigest()[:32]
