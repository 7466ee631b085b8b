"""JSON values that cost most a byte, or most of all: what ``holds_inputs`` puts into bodies."""

from __future__ import annotations

from typing import Final

from reactor_web.bounds import BYTES_PER_VALUE

BODY: Final = (1 << 20) - 300
"""Bytes of a body, with room for what stands around a value."""


def _fill(item: bytes, size: int = BODY, values: int = 0) -> bytes:
    """A list of so many of an item as fit; ``values``: of so many at most, of which each item is one."""
    count = (size - 2) // (len(item) + 1)
    return b"[" + b",".join([item] * (min(count, values) if values else count)) + b"]"


def _members(member: str, size: int = BODY, values: int = 0) -> bytes:
    """An object of so many members; ``%d`` is a number."""
    found: list[bytes] = []
    while size > 20 and (not values or len(found) < values):
        found.append((member % len(found)).encode())
        size -= len(found[-1]) + 1
    return b"{" + b",".join(found) + b"}"


def values(size: int = BODY) -> dict[str, bytes]:
    """JSON of every kind that costs most a byte. Those with ``most`` have as many values as a body may have."""
    digits, deep, most = b"1234567890" * 400, b"[" * 90 + b"]" * 90, size // BYTES_PER_VALUE - 100
    return {
        "one string": b'"' + b"x" * (size - 2) + b'"',
        "escapes": b'"' + b"\\u0001" * ((size - 2) // 6) + b'"',
        "pairs of surrogates": b'"' + b"\\ud83d\\ude00" * ((size - 2) // 12) + b'"',
        "half of a pair": b'"' + b"\\ud83d" * ((size - 2) // 6) + b'"',
        "letters of three bytes": b'"' + "\u2028".encode() * ((size - 2) // 3) + b'"',
        "one quote after the other": _fill(b'""', size),
        "escaped quotes": b'"' + b'\\",' * ((size - 2) // 3) + b'"',
        "half a million zeros": _fill(b"0", size),
        "half a million lists": _fill(deep, size),
        "most zeros": _fill(b"0", size, most),
        "most floats": _fill(b"0.1", size, most),
        "most strings": _fill(b'"a"', size, most),
        "most objects": _fill(b"{}", size, most // 3),
        "most lists in lists": _fill(deep, size, most // 270),
        "most small objects": _fill(b'{"name":"aa","amount":1}', size, most // 5),
        "most keys": _members('"k%d":0', size, most),
        "most keys with objects": _members('"k%d":{}', size, most // 3),
        "long floats": _fill(b"0." + digits, size),
        "one float": b"0." + b"1234567890" * ((size - 4) // 10),
        "integers of 4,000 digits": _fill(digits, size),
        "keys that are one key": b"{" + _fill(b'"a":0', size)[1:-1] + b"}",
        "long keys": _members(f'"{"k" * 1_000}%d":0', size),
        "deep": b"[" * 500 + b"]" * 500,
        "deeper than can be": b"[" * (size // 2) + b"]" * (size // 2),
        "no JSON at the end": b"[" + b"0," * ((size - 4) // 20),
    }
