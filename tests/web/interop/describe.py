"""Writes ``docs/interop.md``: ``python -m tests.web.interop.describe``. It runs the whole matrix."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.helpers.paths import ROOT
from tests.web.interop.law import WHOLE, judging, verdict
from tests.web.interop.matrix import CLIENTS, NOTES, ROUTES, Client, Route
from tests.web.interop.running import Outcome, run_matrix

PAGE = ROOT / "docs" / "interop.md"

INTRODUCTION = """\
# Interop

Clients that others have written follow the runs of Reactor as they are. This page says what to set in each, and what
was seen when each of them followed a run, was cut, came back and ended by itself. It is made by the tests; do not
edit it: run `python -m tests.web.interop.describe`.

**Whole** means: each event of the log came once, in its order and byte for byte, nothing else came, and the client
knew by itself when the run had ended. Of `ai` and `@ag-ui/client`, whose frames are a dialect, it means that the
chunks and the message, or the messages and the state, are those of the whole log. The run has text with line ends,
with U+2028 and with what looks like a frame, an event of 40 KB, tokens that never pause, and events that are said
while the clients are away.

## What to set

Three things hold for all of them.

- **The end.** `stream.end` is the last frame of a run that has ended. A client that was cut just before it, and comes
  back, is answered 204. Both are the end; every other end of a response is a cut, also a clean one.
- **The cursor.** Send the id of the last event that came *whole*, as `Last-Event-ID` or `after=`. What was cut in the
  middle of a frame is none.
- **Silence.** A comment comes every 15 seconds, or as `heartbeat=` says. Read timeouts must be longer.
"""

NGINX = """\
## What nginx needs

```nginx
upstream reactor {
    server 127.0.0.1:8080;
}

map $http_upgrade $connection_upgrade {
    default upgrade;                                  # a WebSocket
    ''      '';                                       # everything else: kept alive
}

server {
    listen 80;                                        # or 443 ssl http2, with a certificate
    location / {
        proxy_pass http://reactor;
        proxy_http_version 1.1;                       # nginx speaks 1.0 otherwise
        proxy_set_header Host $http_host;             # checked against --allow-host
        proxy_set_header Upgrade $http_upgrade;       # these two: only for WebSockets
        proxy_set_header Connection $connection_upgrade;
        proxy_read_timeout 1h;                        # above heartbeat= of all clients; 60 s otherwise
    }
}
```

`proxy_buffering` may be on or off, since each stream says `X-Accel-Buffering: no`. [deploy.md](deploy.md) has a
sample with TLS and keys.
"""

SEEN = """\
## What was seen

In each column all clients follow one run at the same time. In the columns without a restart the server breaks off
every connection once, while tokens flow, and says more before anybody is back. *Cut at random bytes*: a proxy of each
client breaks its first five connections, by a reset or a clean end, in the head of the response, in a frame or in a
WebSocket message. *`kill -9`*: the server process is killed while tokens flow, and begun again at the same port on
the same SQLite file. In brackets: frames or chunks that came, how often the client got a stream again, their data,
and how it ended. These numbers change with each run.
"""


def page(cells: Mapping[tuple[str, str], str]) -> str:
    """The whole page; ``cells`` has by (client, route) what became of it."""
    return "\n".join([INTRODUCTION, _settings(), NGINX, SEEN, _table(cells), _notes()])


def without_counts(text: str) -> str:
    """What is the same in each run."""
    return re.sub(rf"{WHOLE} \([^)]*\)", WHOLE, text)


def cell(outcome: Outcome, said: str) -> str:
    """A verdict with what the client has received."""
    seen = outcome.seen
    if said != WHOLE:
        return said[:200].replace("|", "\\|").replace("\n", " ")
    count = len(seen.frames) or len(seen.chunks)
    return f"{WHOLE} ({count}, {seen.opened - 1} ×, {seen.size // 1000} KB, `{seen.ended}`)"


def _settings() -> str:
    head = "| client | what to set | how it comes back | how it knows the end |\n|---|---|---|---|\n"
    rows = (f"| **{one.name}**: {one.package} | {one.set} | {one.returns} | {one.end} |" for one in CLIENTS)
    return head + "\n".join(rows) + "\n"


def _table(cells: Mapping[tuple[str, str], str]) -> str:
    head = f"| client | {' | '.join(route.title for route in ROUTES)} |\n|---|{'---|' * len(ROUTES)}\n"
    return head + "\n".join(_row(client, cells) for client in CLIENTS) + "\n"


def _row(client: Client, cells: Mapping[tuple[str, str], str]) -> str:
    return f"| {client.name} | {' | '.join(_marked(client, route, cells) for route in ROUTES)} |"


def _marked(client: Client, route: Route, cells: Mapping[tuple[str, str], str]) -> str:
    place = client.name, route.name
    note = f" <sup>{list(NOTES).index(place) + 1}</sup>" if place in NOTES else ""
    return cells[place] + note


def _notes() -> str:
    lines = (f"{number}. {client}: {note}.\n" for number, ((client, _), note) in enumerate(NOTES.items(), 1))
    return "".join(lines)


def main() -> None:
    with TemporaryDirectory() as folder:
        outcomes = asyncio.run(run_matrix(Path(folder)))
    with judging() as judges:
        cells = {place: cell(outcome, verdict(outcome, judges)) for place, outcome in outcomes.items()}
    PAGE.write_text(page(cells))
    wrong = [f"{client}, {route}: {said}" for (client, route), said in cells.items() if not said.startswith(WHOLE)]
    print("\n".join(wrong) or "every cell is whole")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
