"""Keys as JSON, checked member by member: what stands in a key file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from reactor.bounds import KEYS
from reactor.definition.names import did_you_mean
from reactor.ports.access import KeyRecord
from reactor_web.bounds import KEY_NAME_CHARS, KEY_PATTERNS
from reactor_web.guard.keys import KEY
from reactor_web.guard.principal import SCOPES, Scope

_PATTERN: Final = re.compile(r"[A-Za-z0-9._~*?!\[\]-]{1,100}")
_ALL: Final = ", ".join(Scope)


def check_scope(scope: str) -> str:
    """Raises ValueError for what is no scope."""
    if scope not in SCOPES:
        raise ValueError(
            f"there is no scope {scope[:50]!r}{did_you_mean(scope, map(str, Scope)) or '; there are ' + _ALL}"
        )
    return scope


def check_name(name: str) -> str:
    """Raises ValueError for what cannot name a key, or a tenant."""
    if not 0 < len(name) <= KEY_NAME_CHARS or not name.isprintable() or name != name.strip():
        raise ValueError(f"a name is 1 to {KEY_NAME_CHARS} characters that can be printed, without spaces around them")
    if KEY.search(name):
        raise ValueError("a key must not stand in a name, which is shown")
    return name


def check_pattern(pattern: str) -> str:
    """Raises ValueError for what no run id and no name of a workflow can fit."""
    if not _PATTERN.fullmatch(pattern):
        raise ValueError(f"{pattern[:50]!r} is no pattern: 1 to 100 of A-Z a-z 0-9 . _ ~ - and * ? [ ] !")
    return pattern


def _check_tenant(tenant: str) -> str:
    return tenant and check_name(tenant)


def _check_created(time: str) -> str:
    return time and _check_time(time)


def _check_time(time: str) -> str:
    try:
        offset = datetime.fromisoformat(time).utcoffset()
    except ValueError:
        offset = None
    if offset is None:
        raise ValueError("a time is written like 2027-01-31T12:00:00Z")
    return time


_Time = Annotated[str, AfterValidator(_check_time)]
_Pattern = Annotated[str, AfterValidator(check_pattern)]
_Patterns = Annotated[tuple[_Pattern, ...], Field(min_length=1, max_length=KEY_PATTERNS)]


class _Key(BaseModel):
    """A member that is not known is refused, because ``run`` in place of ``runs`` would open all runs."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    id: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{1,32}$")]
    name: Annotated[str, AfterValidator(check_name)]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[tuple[Annotated[str, AfterValidator(check_scope)], ...], Field(min_length=1)]
    tenant: Annotated[str, AfterValidator(_check_tenant)] | None = ""
    runs: _Patterns | None = None
    workflows: _Patterns | None = None
    created: Annotated[str, AfterValidator(_check_created)] = ""
    expires: _Time | None
    revoked: bool = False


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    version: Literal[1]
    keys: Annotated[list[_Key], Field(max_length=KEYS)]


def parse_records(text: bytes) -> dict[str, KeyRecord]:
    """The keys of a key file by their ids, in its order. Raises ValueError, whose text has no digest."""
    try:
        file = _File.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(_sentence(error)) from None
    records = {key.id: _record(key) for key in file.keys}
    if len(records) < len(file.keys):
        raise ValueError("two keys have the same id")
    return records


def encode_records(records: Iterable[KeyRecord]) -> bytes:
    """The text of a key file. Raises ValueError for keys that could not be read again."""
    try:
        file = _File.model_validate({"version": 1, "keys": [_Key(**_members(record)) for record in records]})
    except ValidationError as error:
        raise ValueError(_sentence(error)) from None
    return orjson.dumps(file.model_dump(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _members(record: KeyRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "digest": record.digest.hex(),
        "scopes": tuple(sorted(record.scopes)),
        "tenant": record.tenant,
        "runs": record.runs,
        "workflows": record.workflows,
        "created": record.created,
        "expires": record.expires,
        "revoked": record.revoked,
    }


def _record(key: _Key) -> KeyRecord:
    return KeyRecord(
        id=key.id,
        digest=bytes.fromhex(key.digest),
        name=key.name,
        scopes=frozenset(key.scopes),
        tenant=key.tenant,
        expires=key.expires,
        revoked=key.revoked,
        runs=key.runs,
        workflows=key.workflows,
        created=key.created,
    )


def _sentence(error: ValidationError) -> str:
    """The first problem, with its place: ``keys[2].scopes[0]: there is no scope 'raed', did you mean 'read'?``."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
    said = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {said}" if place else said
