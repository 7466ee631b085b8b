"""The cursor of a list for somebody who sees only some runs: the id of a run that may be hidden from them.

The id is sealed with the key of the log, so that the cursor says nothing of it, and can be opened after a restart
and by every process that has this log.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from typing import Final

from reactor_web.http.problems import Problem

MARK: Final = "!"
"""With this a sealed cursor begins, and no run id has it."""
_TAG_BYTES: Final = 16
_ID_BYTES: Final = 64
"""The longest id. Each is filled up to this, so that its length is hidden, too."""


def seal(run_id: str, key: bytes, tenant: str) -> str:
    """The cursor of a run. The same run has the same one, and only for this tenant."""
    plain = run_id.encode().ljust(_ID_BYTES, b"\0")
    tag = _tag(plain, key, tenant)
    return MARK + urlsafe_b64encode(tag + _with_stream(plain, key, tag)).decode().rstrip("=")


def unseal(cursor: str, key: bytes, tenant: str) -> str:
    """The id in a cursor; raises Problem 400 for what this log has not sealed."""
    try:
        sealed = urlsafe_b64decode(cursor.removeprefix(MARK) + "==")
    except (Error, ValueError):
        sealed = b""
    tag, hidden = sealed[:_TAG_BYTES], sealed[_TAG_BYTES:]
    plain = _with_stream(hidden, key, tag) if len(hidden) == _ID_BYTES else b""
    if not hmac.compare_digest(tag, _tag(plain, key, tenant)):
        raise Problem(400, "cursor: this is not the cursor of a page of this list")
    return plain.rstrip(b"\0").decode()


def _tag(plain: bytes, key: bytes, tenant: str) -> bytes:
    return hmac.digest(key, f"list cursor of {tenant}\n".encode() + plain, "sha256")[:_TAG_BYTES]


def _with_stream(text: bytes, key: bytes, tag: bytes) -> bytes:
    """Seals and unseals: each bit is flipped, or not, by a stream that belongs to the tag and so to the id."""
    stream = hmac.digest(key, b"list cursor\n" + tag, "sha512")
    return bytes(a ^ b for a, b in zip(text, stream, strict=True))
