"""JSON that is one line to everybody, also to clients that split lines as ``str.splitlines`` does."""

from __future__ import annotations

from typing import Final

_LINE_ENDS: Final = ((b"\xe2\x80\xa8", rb"\u2028"), (b"\xe2\x80\xa9", rb"\u2029"), (b"\xc2\x85", rb"\u0085"))
"""UTF-8 -> JSON. The other line ends of ``str.splitlines`` are control characters, which JSON escapes anyway."""


def one_line(json: bytes) -> bytes:
    """The same JSON, with U+2028, U+2029 and U+0085 escaped. In valid JSON they can only be inside of strings."""
    if json.isascii():  # nearly always, and found out in nanoseconds
        return json
    if b"\xe2\x80" not in json and b"\xc2\x85" not in json:  # other languages
        return json
    for character, escape in _LINE_ENDS:
        if character in json:
            json = json.replace(character, escape)
    return json
