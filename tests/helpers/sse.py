"""Reads a whole event stream, however the network cuts it."""

from __future__ import annotations

from hypothesis import strategies as st

from reactor_web.sse.parser import Frame, Parser

CHUNK_SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=8)
"""Sizes of chunks, for ``parse``."""


def parse(body: bytes, sizes: list[int] | None = None) -> list[Frame]:
    """All frames of ``body``, fed in chunks of ``sizes`` (cycled); whole without sizes."""
    parser = Parser()
    if sizes is None:
        return parser.feed(body)
    frames: list[Frame] = []
    start = turn = 0
    while start < len(body):
        size = sizes[turn % len(sizes)]
        frames += parser.feed(body[start : start + size])
        start, turn = start + size, turn + 1
    return frames
