"""The commands ``reactor keys``: add, list and revoke the keys of a key file, or of a log in Redis.

A key itself is shown once, on stdout, and is nowhere else. All that they refuse is one sentence and exit code 2.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reactor.clock import SystemClock
from reactor.definition.names import did_you_mean
from reactor.errors import LogUnavailable
from reactor.ports.access import KeyRecord, KeyStore
from reactor_web.bounds import KEY_PATTERNS
from reactor_web.guard.key_file import KeyFileError
from reactor_web.guard.key_records import check_name, check_pattern, check_scope
from reactor_web.guard.keys import PRINCIPAL, NewKey, make_key, split_key
from reactor_web.guard.new_keys import LASTS, expiry_of, key_json, scopes_in_order, status_of, time_text
from reactor_web.guard.principal import Scope
from reactor_web.terminal.given import refuse
from reactor_web.terminal.key_place import opened_keys, shown
from reactor_web.terminal.lines import printable
from reactor_web.terminal.settings.group import SettledGroup

T = TypeVar("T")

commands = typer.Typer(
    cls=SettledGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="API keys: who may ask a server.",
)

Keys = Annotated[
    str | None,
    typer.Option("--keys", metavar="FILE|URL", help="The key file of the server, or its Redis."),
]
Json = Annotated[bool, typer.Option("--json", help="One key a line, as JSON.")]

_TITLES: Final = ("ID", "NAME", "STATUS", "SCOPES", "TENANT", "RUNS", "WORKFLOWS", "EXPIRES", "CREATED")


@commands.command()
def add(
    name: Annotated[str, typer.Argument(help="What it is for: shown in `reactor keys ls`.")],
    scopes: Annotated[
        str | None, typer.Option(metavar="SCOPE,...", help=f"What it may do: {', '.join(Scope)}.")
    ] = None,
    expires: Annotated[str, typer.Option(metavar="TIME", help="90d, 12h, 30m, 2w, or never.")] = LASTS,
    runs: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only runs whose id fits; repeatable.")] = None,
    workflows: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only workflows whose name fits; repeatable.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Only the runs of this tenant.")] = None,
    all_tenants: Annotated[bool, typer.Option("--all-tenants", help="The runs of every tenant.")] = False,
    keys: Keys = None,
    json: Json = False,
) -> None:
    """Makes a key and prints it, once. The file is made where there is none."""
    place = _place(keys)
    now = datetime.fromisoformat(SystemClock().now().decode())
    made = make_key()
    record = KeyRecord(
        id=made.id,
        digest=made.digest,
        name=_checked(check_name, name, "NAME"),
        scopes=parse_scopes(scopes),
        tenant=_tenant(tenant, all_tenants),
        expires=parse_expiry(expires, now),
        runs=_patterns(runs, "--runs"),
        workflows=_patterns(workflows, "--workflows"),
        created=time_text(now),
    )
    _carry_out(place, lambda store: store.add(record))
    _show_once(made, record, place, json)


@commands.command("ls")
def list_keys(keys: Keys = None, json: Json = False) -> None:
    """Lists the keys, also those that have expired or were revoked. Never what a client sends."""
    records = _carry_out(_place(keys), lambda store: store.all())
    now = datetime.now(UTC)
    try:
        if not json and sys.stdout.isatty():
            Console().print(_table(records, now))
        else:
            for record in records:
                print(orjson.dumps(key_json(record, now)).decode() if json else "\t".join(_cells(record, now)))
        sys.stdout.flush()
    except BrokenPipeError:  # ``reactor keys ls | head``
        os._exit(128 + 13)  # without another flush, which would fail, too


@commands.command()
def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="The id of a key, as `reactor keys ls` shows it.")],
    keys: Keys = None,
) -> None:
    """Revokes a key, for ever: its requests are refused and its streams end, within seconds."""
    place = _place(keys)
    # who has found a key somewhere may give all of it; logs name it as a principal
    given = split_key(id)
    wanted = given[0] if given else id.removeprefix(PRINCIPAL)
    records = {record.id: record for record in _carry_out(place, lambda store: store.all())}
    if wanted not in records:
        refuse(f"there is no key {wanted[:50]!r} in {shown(place)}{did_you_mean(wanted, records)}")
    _carry_out(place, lambda store: store.revoke(wanted))
    again = " was revoked before" if records[wanted].revoked else " is revoked"
    _tell(f"key {wanted} ({printable(records[wanted].name)}){again}")


# --- what was given ---


def parse_scopes(text: str | None) -> frozenset[str]:
    """``read,run`` as scopes."""
    if text is None:
        refuse(f"say with --scopes what the key may do: {', '.join(Scope)}, with commas between them")
    return frozenset(_checked(check_scope, scope.strip(), "--scopes") for scope in text.split(","))


def parse_expiry(text: str, now: datetime) -> str | None:
    """``90d`` as the time when a key expires; None for ``never``."""
    try:
        return expiry_of(text, now)
    except ValueError as error:
        refuse(f"--expires {error}")


def _place(keys: str | None) -> str:
    if not keys:
        refuse("name the key file with --keys FILE, or with REACTOR_KEYS; of a cluster, the URL of its Redis")
    return keys


def _tenant(tenant: str | None, all_tenants: bool) -> str | None:
    if all_tenants and tenant is not None:
        refuse("--tenant and --all-tenants are two answers to one question: give one of them")
    if all_tenants:
        return None
    return "" if tenant is None else _checked(check_name, tenant, "--tenant")


def _patterns(given: list[str] | None, option: str) -> tuple[str, ...] | None:
    if not given:
        return None
    if len(given) > KEY_PATTERNS:
        refuse(f"{option} is given {len(given)} times, and a key has at most {KEY_PATTERNS} patterns")
    return tuple(_checked(check_pattern, pattern, option) for pattern in given)


def _checked(check: Any, text: str, place: str) -> str:
    try:
        return check(text)
    except ValueError as error:
        refuse(f"{place}: {error}")


def _carry_out(place: str, work: Callable[[KeyStore], Awaitable[T]]) -> T:
    async def carry_out() -> T:
        async with opened_keys(place) as store:
            return await work(store)

    try:
        return asyncio.run(carry_out())
    except (KeyFileError, LogUnavailable, ValueError) as error:
        refuse(str(error))


# --- what is shown ---


def _show_once(made: NewKey, record: KeyRecord, place: str, json: bool) -> None:
    """Prints the key. One that cannot be shown is revoked: nobody would have it."""
    shown = {"key": made.token, **key_json(record, datetime.now(UTC))}
    try:
        print(orjson.dumps(shown).decode() if json else made.token, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what could not be written is not tried again at the exit
        _carry_out(place, lambda store: store.revoke(made.id))
        refuse(f"the key {made.id} could not be printed, so it was revoked: {error.strerror}")
    until = "and never expires" if record.expires is None else f"until {record.expires}"
    _tell(f"this key is shown once, so keep it now; its id is {made.id}, and it is valid {until}")


def _tell(sentence: str) -> None:
    print(f"reactor: {sentence}", file=sys.stderr)


def _table(records: list[KeyRecord], now: datetime) -> Table:
    """A table for people: without columns in which no key says anything."""
    rows = [_cells(record, now) for record in records]
    table = Table(box=None, pad_edge=False)
    shown = [i for i in range(len(_TITLES)) if i == 0 or any(row[i] not in ("-", "*") for row in rows)]
    for i in shown:
        table.add_column(_TITLES[i], overflow="fold", no_wrap=_TITLES[i] in ("ID", "STATUS"))
    for record, row in zip(records, rows, strict=True):
        style = "" if status_of(record, now) == "valid" else "dim"
        table.add_row(*(Text(row[i]) for i in shown), style=style)
    return table


def _cells(record: KeyRecord, now: datetime) -> list[str]:
    return [
        record.id,
        printable(record.name),
        status_of(record, now),
        ",".join(scopes_in_order(record.scopes)),
        "(all)" if record.tenant is None else printable(record.tenant) or "-",
        " ".join(record.runs or ("*",)),
        " ".join(record.workflows or ("*",)),
        record.expires or "never",
        record.created or "-",
    ]
