"""The JSON of a large output in pieces, so that the event loop is not held for it; a thread would hold it as long.

    encoded = encode_small(value, returns)                 # nearly always, as fast as ever; None for a large value
    steps = encode_in_pieces(value, returns, annotation)   # then: each step takes a few milliseconds at most

What comes out is byte for byte what ``encode_output`` makes of the whole. Cut are plain JSON at any level, texts, and
the members of a list, a tuple or a dict, where the annotation says what each member is. A single model is one piece.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Any, Final, cast, get_args, get_origin

import orjson
from pydantic import TypeAdapter

from reactor.events.one_line import one_line
from reactor.events.plain import MAX_DEPTH, is_plain, is_plain_part
from reactor.events.restoring import Encoded, Noted, encode_output, encode_part, fit, log_not_restored
from reactor.events.shown import SameNames, display_json, display_pieces, parts_of

_MOST: Final = 20_000
"""Values that are encoded at once; 16 characters count as one, and a text of more is cut into texts of ``_CHARS``."""
_MEMBERS: Final = 2_000
"""Members of a list or dict that are looked at at once."""
_MODELS: Final = 50
"""The same of those that are not plain JSON: each may take 20 us."""
_CHARS: Final = 500_000
_HOLDERS: Final = (list, tuple, dict)


class NotPlain(TypeError):
    """A value that holds something else than plain JSON."""


def encode_small(value: Any, returns: TypeAdapter[Any] | None) -> Encoded | None:
    """What ``encode_output`` returns; None for a value that may be large."""
    plain = is_plain(value, _MOST)
    if plain:
        try:
            return Encoded(one_line(orjson.dumps(value)), True)
        except TypeError:  # text with a lone surrogate
            return encode_output(value, returns)
    is_cut = plain is None or (type(value) in _HOLDERS and len(value) > _MODELS)
    return None if is_cut else encode_output(value, returns)


def encode_in_pieces(value: Any, returns: TypeAdapter[Any] | None, annotation: Any) -> Generator[None, None, Encoded]:
    """What ``encode_output`` returns, in steps. ``annotation``: that of ``returns``."""
    pieces: list[bytes] = []
    try:
        yield from _gather(plain_pieces(value), pieces)
        return Encoded((yield from _join(pieces)), True)
    except NotPlain:
        pass
    except (TypeError, RuntimeError):  # text with a lone surrogate; a dict that was changed meanwhile
        returns = None
    pieces.clear()
    if returns is not None:
        if not _is_cut(value, annotation):
            return encode_output(value, returns)
        found = Noted()
        try:
            yield from _gather(_typed_pieces(value, returns, found), pieces)
            hints = found.hints()
            if fit(hints):
                return Encoded((yield from _join(pieces)), True, True, hints)
        except _OtherKeys:
            return encode_output(value, returns)
        except (_NotRestored, RuntimeError):
            pass
        pieces.clear()
    try:
        yield from _gather(display_pieces(value, _MODELS), pieces)
    except (SameNames, RuntimeError):
        pieces = [display_json(value)]
    return Encoded((yield from _join(pieces)), False)


def _gather(found: Iterable[bytes], pieces: list[bytes]) -> Generator[None]:
    for piece in found:
        pieces.append(piece)
        yield


def _join(pieces: list[bytes]) -> Generator[None, None, bytes]:
    """All of them, which is a step of its own: what comes next copies it again, beside the event."""
    whole = b"".join(pieces)
    pieces.clear()
    yield
    return whole


# --- plain JSON ---


def plain_pieces(value: Any) -> Iterator[bytes]:
    """The JSON of a plain value in pieces; raises NotPlain where it turns out that it is not plain."""
    return _plain(value, 0, set())


def _plain(value: Any, depth: int, around: set[int]) -> Iterator[bytes]:
    """``depth``: the levels around the value. ``around``: the ids of those that were cut."""
    kind = cast("object", type(value))
    is_there = is_plain_part(value, depth, _MOST)
    if is_there:
        yield one_line(orjson.dumps(value))
    elif is_there is None and kind is str:
        yield from _text(value)
    elif is_there is None and depth < MAX_DEPTH and id(value) not in around:
        around.add(id(value))
        opening = b"{" if kind is dict else b"["
        for piece in _members(value, _MEMBERS, depth, around):
            yield opening + piece[1:] if opening else piece
            opening = b""
        yield b"}" if kind is dict else b"]"
        around.discard(id(value))
    else:
        raise NotPlain


def _members(value: Any, at_once: int, depth: int, around: set[int]) -> Iterator[bytes]:
    """The members of a list or dict, with a comma before each."""
    for part in parts_of(value, at_once):
        is_there = is_plain_part(part, depth, _MOST)
        if is_there:
            yield b"," + one_line(orjson.dumps(part)[1:-1])
        elif is_there is None and len(part) > 1:
            yield from _members(part, (len(part) + 3) // 4, depth, around)
        elif is_there is None:
            for key, member in _pairs(part):
                yield b"," + key
                yield from _plain(member, depth + 1, around)
        else:
            raise NotPlain


def _pairs(part: Any) -> Iterator[tuple[bytes, Any]]:
    """Each member with what stands before it."""
    if type(part) is dict:
        for key, member in cast("dict[Any, Any]", part).items():
            if type(key) is not str:
                raise NotPlain
            yield one_line(orjson.dumps(key)) + b":", member
    else:
        for member in part:
            yield b"", member


def _text(value: str) -> Iterator[bytes]:
    yield b'"'
    for start in range(0, len(value), _CHARS):
        yield one_line(orjson.dumps(value[start : start + _CHARS])[1:-1])
    yield b'"'


# --- with the help of the annotation ---


class _NotRestored(Exception):
    """What was returned is not what its JSON restores."""


class _OtherKeys(Exception):
    """A dict has keys that are no text: two of them may have the same JSON, so it is not cut."""


def _is_cut(value: Any, annotation: Any) -> bool:
    """Whether the annotation says the same of some members as of all."""
    kind, of = cast("object", type(value)), get_args(annotation)
    return kind is get_origin(annotation) and (
        kind is list or kind is dict or (kind is tuple and len(of) == 2 and of[1] is Ellipsis)
    )


def _typed_pieces(value: Any, returns: TypeAdapter[Any], found: Noted) -> Iterator[bytes]:
    is_dict = type(value) is dict
    yield b"{" if is_dict else b"["
    before = b""
    for part in parts_of(value, _MODELS):
        if is_dict and not set(map(type, part)) <= {str}:
            raise _OtherKeys
        try:
            text = encode_part(part, returns, found)
        except KeyboardInterrupt:
            raise  # it may be the user's Ctrl-C
        except BaseException as error:  # from a validator, serialiser or __eq__ that a user wrote
            log_not_restored(value, error)
            text = None
        if text is None:
            raise _NotRestored
        yield before + text[1:-1]
        before = b","
    yield b"}" if is_dict else b"]"
