"""``release_read_buffer``: an idle TLS connection does not keep the 256 KiB that asyncio reads into.

asyncio gives each TLS connection a buffer of its own and fills it only for a moment: what was received is copied out of
it before anything else runs. So all connections of a thread can have one buffer. That takes an idle stream from 280 KB
to 23. What is copied out of it stands in a buffer of OpenSSL, which never becomes smaller again: so less is read at a
time, and less waits to be sent.

Only this file reaches into asyncio's TLS. If anything is not as it was when this was written (another Python, another
loop), every buffer stays where it is, and the log says so once.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio import sslproto
from functools import cache
from typing import Any, Final

from reactor.bounds import KIB
from reactor.logger import get_logger

logger = get_logger("reactor.web")

_GETS: Final = {"max_size", "len", "_ssl_buffer", "bytearray", "memoryview", "_ssl_buffer_view"}
"""All that ``SSLProtocol.get_buffer`` uses, in Python 3.11 to 3.13."""
_COPIES: Final = ("_incoming", "write", "_ssl_buffer_view")
"""What ``buffer_updated`` uses first: it copies what has come before it does anything else."""
_SELECTOR_TRANSPORT: Final = "_SelectorSocketTransport"
"""The transport below, which fills a buffer and hands it on in one step."""


_READ_BYTES: Final = 64 * KIB
"""What one read takes; four records of TLS."""
_WRITE_BYTES: Final = 64 * KIB
"""What may wait to be encrypted and sent before a writer has to wait, as in a connection without TLS; asyncio: 512."""


class _Shared(threading.local):
    """The buffer that all TLS connections of a thread read into: a loop never leaves its thread."""

    def __init__(self) -> None:
        self.buffer = bytearray(_READ_BYTES)
        self.view = memoryview(self.buffer)


_shared: Final = _Shared()


def release_read_buffer(transport: asyncio.Transport | None) -> bool:
    """Lets go of the read buffer of a TLS connection. Whether it reads into the shared one now."""
    protocol: Any = getattr(transport, "_ssl_protocol", None)
    if transport is None or protocol is None or not is_known():
        return False
    if getattr(protocol, "_ssl_buffer", None) is _shared.buffer:
        return True
    if not _is_as_expected(protocol):
        return False
    protocol.max_size = _READ_BYTES
    protocol._ssl_buffer = _shared.buffer
    protocol._ssl_buffer_view = _shared.view
    transport.set_write_buffer_limits(_WRITE_BYTES)
    return True


@cache
def is_known() -> bool:
    """Whether asyncio reads TLS in the way that this file was written for."""
    known = is_as_written(sslproto.SSLProtocol)
    if not known:
        logger.info("an idle TLS stream keeps its read buffer: this Python reads TLS in a way that is not known here")
    return known


def is_as_written(protocol: Any) -> bool:
    """Whether a class has the two steps of ``SSLProtocol``, with nothing between them that keeps the buffer."""
    gets = getattr(getattr(protocol, "get_buffer", None), "__code__", None)
    updated = getattr(getattr(protocol, "buffer_updated", None), "__code__", None)
    if gets is None or updated is None or not isinstance(getattr(protocol, "max_size", None), int):
        return False
    return set(gets.co_names) == _GETS and updated.co_names[:3] == _COPIES and "_ssl_buffer" not in updated.co_names


def _is_as_expected(protocol: Any) -> bool:
    """Whether this connection has a buffer of its own, of the usual size, and the transport that fills it at once."""
    buffer, view = getattr(protocol, "_ssl_buffer", None), getattr(protocol, "_ssl_buffer_view", None)
    return (
        type(protocol) is sslproto.SSLProtocol
        and type(getattr(protocol, "_transport", None)).__name__ == _SELECTOR_TRANSPORT
        and isinstance(buffer, bytearray)
        and isinstance(view, memoryview)
        and view.obj is buffer
        and len(buffer) == protocol.max_size >= _READ_BYTES
    )
