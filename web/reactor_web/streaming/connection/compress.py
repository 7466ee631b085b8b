"""``compress=1``: the bytes of one client, compressed and flushed with every write, so that no event waits.

Each client has a context of its own, which costs memory and time: this is off unless somebody asks for it.
"""

from __future__ import annotations

import zlib
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final, Protocol

from reactor_web.http.negotiation import encoding

_GZIP: Final = 16 + 15
"""The window bits of zlib for a gzip header and the whole window."""
_MEM_LEVEL: Final = 8
_ZSTD_WINDOW: Final = 17
"""128 KiB, as a power of two: decoders must take up to 8 MiB (RFC 9659)."""
_LEVEL: Final = 3
"""Of both: most of what compression gives at a small part of its cost."""


class Compressor(Protocol):
    """Compresses one response."""

    def compress(self, data: bytes) -> bytes:
        """All of ``data``: what is returned can be read at once."""
        ...

    def finish(self) -> bytes:
        """The end of the compressed bytes."""
        ...


class Gzip:
    """RFC 1952, flushed by ``Z_SYNC_FLUSH``."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP, _MEM_LEVEL)

    def compress(self, data: bytes) -> bytes:
        """All of ``data``."""
        return self._zlib.compress(data) + self._zlib.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        """The last block and the checksum."""
        return self._zlib.flush(zlib.Z_FINISH)


class Zstd:
    """RFC 8878, with the library of Python 3.14 or the package ``zstandard``."""

    def __init__(self) -> None:
        module = _zstd()
        assert module is not None, "codings() names what there is"
        self._flush_block: Any
        if module.__name__ == "zstandard":
            parameters = module.ZstdCompressionParameters.from_level(_LEVEL, window_log=_ZSTD_WINDOW)
            self._context: Any = module.ZstdCompressor(compression_params=parameters).compressobj()
            self._flush_block, self._flush_end = module.COMPRESSOBJ_FLUSH_BLOCK, module.COMPRESSOBJ_FLUSH_FINISH
        else:
            key = module.CompressionParameter
            options = {key.compression_level: _LEVEL, key.window_log: _ZSTD_WINDOW}
            self._context = module.ZstdCompressor(options=options)
            self._flush_block, self._flush_end = self._context.FLUSH_BLOCK, self._context.FLUSH_FRAME

    def compress(self, data: bytes) -> bytes:
        """All of ``data``."""
        return self._context.compress(data) + self._context.flush(self._flush_block)

    def finish(self) -> bytes:
        """The end of the frame."""
        return self._context.flush(self._flush_end)


@cache
def _zstd() -> ModuleType | None:
    for name in ("compression.zstd", "zstandard"):
        if find_spec(name.partition(".")[0]) is not None:
            return import_module(name)
    return None


def codings() -> tuple[str, ...]:
    """The content codings there are, the best one first."""
    return ("gzip",) if _zstd() is None else ("zstd", "gzip")


def coding_for(accept_encoding: str | None) -> str | None:
    """The coding that a client names in ``Accept-Encoding`` and that there is."""
    return encoding(accept_encoding, codings())


def compressor(coding: str) -> Compressor:
    """A compressor for one of ``codings``."""
    return Zstd() if coding == "zstd" else Gzip()
