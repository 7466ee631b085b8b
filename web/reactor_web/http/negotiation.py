"""What a request's ``Accept``, ``Accept-Encoding`` and ``Prefer`` ask for. Strings in, values out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from reactor_web.bounds import MAX_WAIT_SECONDS
from reactor_web.http.problems import Problem

_QUALITY: Final = re.compile(r"(0(\.[0-9]{0,3})?|1(\.0{0,3})?)")


def choose(header: str | None, offered: Sequence[str]) -> str | None:
    """The offered media type that an ``Accept`` header prefers; None if it takes none (RFC 9110, section 12.5.1).

    Of several that it likes the same, the first one offered. No header takes every type.
    """
    rated = [(quality(header, media_type), -place) for place, media_type in enumerate(offered)]
    best, place = max(rated, default=(0.0, 0))
    return offered[-place] if best > 0 else None


def must_choose(header: str | None, offered: Sequence[str]) -> str:
    """As ``choose``; raises Problem 406, which names what is offered, where the header takes none of it."""
    chosen = choose(header, offered)
    if chosen is None:
        raise Problem(406, f"Accept is {(header or '')[:100]!r}, but this is sent as {' or '.join(offered)}")
    return chosen


def quality(header: str | None, media_type: str) -> float:
    """How much an ``Accept`` header likes a media type, 0 to 1; 0: not at all. Its most specific range decides."""
    if header is None or not header.strip():
        return 1.0
    main = media_type.partition("/")[0]
    rank = {media_type: 3, f"{main}/*": 2, "*/*": 1}
    found = [(rank[offered], q) for offered, q in _weighted(header) if offered in rank]
    return max(found)[1] if found else 0.0


def accepts(header: str | None, media_type: str) -> bool:
    """Whether an ``Accept`` header takes a media type. No header takes every type; ``;q=0`` refuses one."""
    return quality(header, media_type) > 0


def asks_for(header: str | None, media_type: str) -> bool:
    """Whether an ``Accept`` header takes a media type by its full name, not by ``*/*``."""
    return any(offered == media_type for offered, _ in _weighted(header or "")) and accepts(header, media_type)


def encoding(header: str | None, offered: Sequence[str]) -> str | None:
    """The offered content coding that an ``Accept-Encoding`` header takes; None: send the bytes as they are.

    Only a coding that is named is used: nobody is sent compressed bytes because of a ``*`` or without a header.
    """
    named = dict(_weighted(header or ""))
    rated = [(named.get(coding, 0.0), -place) for place, coding in enumerate(offered)]
    best, place = max(rated, default=(0.0, 0))
    return offered[-place] if best > 0 else None


def prefer_wait(header: str | None) -> float | None:
    """The seconds of ``Prefer: wait=N`` (RFC 7240), at most 300; None without it. Raises Problem 400."""
    for preference in re.split(r"[,;]", header or ""):
        name, _, value = preference.strip().partition("=")
        if name.strip().lower() == "wait":
            seconds = value.strip().strip('"')
            if not re.fullmatch(r"[0-9]{1,6}", seconds):
                raise Problem(400, f"Prefer: wait={seconds[:50]} is not a whole number of seconds")
            return min(float(seconds), MAX_WAIT_SECONDS)
    return None


def _weighted(header: str) -> Iterator[tuple[str, float]]:
    """(name, weight) of each member of a header. A weight that cannot be read counts as none: 1."""
    for offer in header.lower().split(","):
        name, *parameters = [part.strip() for part in offer.split(";")]
        weights = [value for key, _, value in (part.partition("=") for part in parameters) if key.strip() == "q"]
        weight = weights[-1].strip() if weights else "1"
        yield name, float(weight) if _QUALITY.fullmatch(weight) else 1.0
