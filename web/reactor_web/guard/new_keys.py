"""A key that is to be made, and how keys are shown: the same on a command line and over HTTP."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final

from reactor.ports.access import KeyRecord
from reactor_web.guard.keys import expires_at
from reactor_web.guard.principal import Scope

_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})([mhdw])")
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_MOST: Final = timedelta(days=3653)
"""Ten years."""
LASTS: Final = "90d"
"""How long a key is valid of which nobody says it."""


def expiry_of(text: str, now: datetime) -> str | None:
    """``90d`` as the time when a key expires; None for ``never``. Raises ValueError: the rest of a sentence."""
    if text == "never":
        return None
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:50]!r} is no time from now: write 90d, 12h, 30m or 2w, or never")
    count, unit = int(match[1]), _UNITS[match[2]]
    if count > _MOST / unit:  # before they are multiplied: 150,000,000 weeks are no timedelta
        raise ValueError(f"{text} is more than ten years: write never for a key that does not expire")
    return time_text(now + count * unit)


def time_text(moment: datetime) -> str:
    """In UTC, as keys have it: ``2027-01-31T12:00:00Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def key_json(record: KeyRecord, now: datetime) -> dict[str, Any]:
    """A key as JSON. The digest stays where it is."""
    return {
        "id": record.id,
        "name": record.name,
        "scopes": scopes_in_order(record.scopes),
        "tenant": record.tenant,
        "runs": record.runs,
        "workflows": record.workflows,
        "created": record.created,
        "expires": record.expires,
        "status": status_of(record, now),
    }


def status_of(record: KeyRecord, now: datetime) -> str:
    """``valid``, ``expired`` or ``revoked``."""
    if record.revoked:
        return "revoked"
    end = expires_at(record)
    return "valid" if end is None or now.timestamp() < end else "expired"


def scopes_in_order(scopes: frozenset[str]) -> list[str]:
    """As ``Scope`` has them."""
    return [scope.value for scope in Scope if scope in scopes]
