"""What a Redis must be to keep the log: each thing that is wrong with it is told in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ResponseError,
    TimeoutError,
)

from reactor.errors import LogUnavailable

OLDEST: Final = (7, 0)
"""The first version with functions."""


def unavailable(place: str, why: str, reason: str | None = None) -> LogUnavailable:
    """Of the log at this URL, which is shown without its password."""
    return LogUnavailable(f"{place} {why}", path=place, reason=reason)


def check_info(place: str, info: Mapping[str, str]) -> None:
    """Raises LogUnavailable for a Redis that cannot keep the log. ``info``: what INFO says."""
    if info.get("redis_mode") == "sentinel":
        raise unavailable(place, "is a Sentinel, which keeps no data: write the URL of the Redis that it watches")
    if info.get("redis_mode") == "cluster" or info.get("cluster_enabled") == "1":
        raise unavailable(place, "is a Redis Cluster, where the keys of a log would be on several nodes: use one Redis")
    version = info.get("redis_version", "0")
    if tuple(int(part) if part.isdigit() else 0 for part in version.split(".")[:2]) < OLDEST:
        raise unavailable(place, f"is Redis {version}, and a log needs 7.0 or newer")
    if info.get("role") == "slave":
        master = f"{info.get('master_host')}:{info.get('master_port')}"
        raise unavailable(place, f"is a read-only replica of {master}: write the URL of that one")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise unavailable(
            place, f"may evict events when its memory is full (maxmemory-policy {policy}): set it to noeviction"
        )


def check_room(place: str, info: Mapping[str, str]) -> None:
    """Raises LogUnavailable where nothing more can be written."""
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if 0 < most <= used:
        raise unavailable(place, f"has no room: it uses {used:,} bytes, and maxmemory is {most:,}", "full")


def parse_info(text: bytes) -> dict[str, str]:
    """What INFO says, by name."""
    lines = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    return {name: value for name, _, value in lines if value and not name.startswith("#")}


def refused(place: str, error: BaseException) -> LogUnavailable:
    """Why a connection could not be made, or a call was refused, in one sentence."""
    if isinstance(error, LogUnavailable):
        return error
    found = unavailable(place, *_why(error))
    found.__cause__ = error
    return found


def _why(error: BaseException) -> tuple[str, str | None]:
    said = str(error).rstrip(".")
    match error:
        case BusyLoadingError():
            return "is loading its data, and does not answer yet", None
        case AuthenticationError() | AuthorizationError():
            return _of_password(said), None
        case NoPermissionError():
            return f"does not let this user do what a log needs: {said}", None
        case OutOfMemoryError():
            return f"has no room: {said}", "full"
        case ConnectionError() | TimeoutError() | OSError():
            return f"does not answer: {said or type(error).__name__}", "unreachable"
        case ResponseError() if "NOAUTH" in said or "Authentication required" in said:
            return _of_password(said), None
        case _:
            return f"has refused: {said or type(error).__name__}", None


def _of_password(said: str) -> str:
    return f"does not take this user and password ({said}): write them into the URL, redis://user:password@host"


def info_of(place: str, answer: Any) -> dict[str, str]:
    """The answer of INFO as a mapping; raises LogUnavailable where it is none."""
    if not isinstance(answer, bytes):
        raise unavailable(place, "does not say what it is: INFO is not allowed for this user")
    return parse_info(answer)
