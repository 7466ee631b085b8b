"""Writes ``docs/problems.md``: ``python -m tests.project.describe_problems``."""

from __future__ import annotations

import sys

from reactor_web.http.codes import CODES, Code
from tests.helpers.paths import ROOT

PAGE = ROOT / "docs" / "problems.md"

INTRODUCTION = """\
# Problems

Why a request is refused. A problem document (`application/problem+json`, RFC 9457) that has a `code` has one of these;
its `type` is `<prefix>/problems/<code>`, where the server shows the same text. A cap answers with `Retry-After`, and
the document has these seconds as `retry_after`. What has no code has `type: about:blank`; its `detail` says it all.

An `EventSource` of a browser gives up at any status but 200. Where a request has neither `Authorization` nor
`Reactor-Client` and asks for `text/event-stream`, a cap is therefore answered 200, with `retry:` and `stream.closing`
(`{reason: "limit", code, retry_ms}`; in another dialect than the native one with a comment). 401, 403 and 404 are
always real.

This page is made of `web/reactor_web/http/codes.py`. Do not edit it: run `python -m tests.project.describe_problems`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, _table(), *(_section(name, code) for name, code in CODES.items())])


def _table() -> str:
    rows = "\n".join(f"| [`{name}`](#{name}) | {code.status} | {code.title} |" for name, code in CODES.items())
    return f"| code | status | |\n|---|---|---|\n{rows}\n"


def _section(name: str, code: Code) -> str:
    return f"## {name}\n\n{code.title}, {code.status}. {code.text}\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"wrote {PAGE.relative_to(ROOT)}\n")
