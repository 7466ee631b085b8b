"""Files that are served as they stand in the package: read once, compressed once, asked for again by their ETag."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from aiohttp import web

from reactor_web.http.body import NoBody
from reactor_web.http.negotiation import encoding
from reactor_web.http.sending import PacedResponse


class StaticFile(NamedTuple):
    """One file, as it is and compressed."""

    body: bytes
    compressed: bytes
    digest: str
    """Of its content."""


class _Sent(PacedResponse):
    """A response whose coding is chosen already."""

    def enable_compression(self, force: object = None, strategy: int | None = None) -> None:
        """Does nothing: the ETag is that of these bytes, whatever a middleware of the host asks for."""


def static_file(body: bytes) -> StaticFile:
    return StaticFile(body, gzip.compress(body, mtime=0), sha256(body).hexdigest()[:32])


def answer_file(
    request: web.Request, file: StaticFile, media_type: str, headers: Mapping[str, str], charset: str | None = "utf-8"
) -> web.Response:
    """A file, compressed where the client takes that, or 304 where it has it."""
    coding = encoding(request.headers.get("Accept-Encoding"), ("gzip",))
    tag = f"{file.digest}-gzip" if coding else file.digest  # other bytes, so another strong ETag
    sent = {**headers, "ETag": f'"{tag}"', "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff"}
    sent["Cache-Control"] = "no-cache"  # kept, and asked for anew by its ETag: a new version is there at once
    if any(etag.value in (tag, "*") for etag in request.if_none_match or ()):
        return NoBody(status=304, headers=sent)
    if coding:
        sent["Content-Encoding"] = coding
    body = file.compressed if coding else file.body
    return _Sent(body=body, content_type=media_type, charset=charset, headers=sent)
