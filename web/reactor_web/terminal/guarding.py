"""Who may ask a server that ``reactor serve`` starts: the guard that its flags say."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, NamedTuple

import typer

from reactor.clock import SystemClock
from reactor.errors import LogUnavailable
from reactor_web.guard.caps import Caps
from reactor_web.guard.cors import check_origins
from reactor_web.guard.guard import Guard
from reactor_web.guard.hosts import check_hosts, is_loopback
from reactor_web.guard.key_file import KeyFile, KeyFileError
from reactor_web.guard.tokens import Jwts, JwtSettings
from reactor_web.terminal.given import refuse
from reactor_web.terminal.key_place import any_keys, is_url, opened_keys, shown

SECRET: str = "REACTOR_JWT_SECRET"
"""The secret of HS256, from the environment only: a command line can be read by every user of the machine."""

KeysFile = Annotated[
    str | None,
    typer.Option("--keys", metavar="FILE|URL", help="API keys, of `reactor keys add`."),
]
Jwks = Annotated[str | None, typer.Option(metavar="URL|FILE", help="Public keys of who issues JWTs for this server.")]
Audience = Annotated[str | None, typer.Option(metavar="AUD", help="The `aud` of JWTs for this server.")]
Issuer = Annotated[str | None, typer.Option(metavar="ISS", help="The `iss` that JWTs must have.")]
TenantClaim = Annotated[str | None, typer.Option(metavar="CLAIM", help="Where the tenant stands in a JWT.")]
Proxy = Annotated[
    list[str] | None,
    typer.Option("--trusted-proxy", metavar="CIDR", help="A proxy that is believed where a client is; repeatable."),
]
MaxAge = Annotated[float | None, typer.Option(min=1, help="Seconds after which a stream ends and comes back.")]
MaxStreams = Annotated[int | None, typer.Option(min=1, help="Streams that are open at the same time.")]
AllowHost = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="A host name under which it is asked; repeatable.")
]
Cors = Annotated[
    list[str] | None, typer.Option(metavar="ORIGIN", help="Whose pages may ask: https://app.example; repeatable.")
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Without keys or JWTs, let anybody who reaches it do everything.")
]


class Exposure(NamedTuple):
    """What the flags of ``serve`` say of who may ask."""

    keys: str | None = None
    jwks: str | None = None
    audience: str | None = None
    issuer: str | None = None
    tenant_claim: str | None = None
    trusted_proxies: Sequence[str] = ()
    max_stream_age: float | None = None
    max_streams: int | None = None
    insecure: bool = False


def make_guard(given: Exposure, host: str, store: str) -> Guard:
    """The guard. Refuses what cannot be with one sentence: also an address that others reach, where anybody may ask.

    ``store``: the URL of the log, whose keys count where several processes share it.
    """
    jwt = _jwt(given)
    if given.insecure and (given.keys is not None or jwt is not None):
        refuse(f"--insecure lets anybody in, and {_named(given)} says who may ask: give one of them")
    if given.max_stream_age is not None and not math.isfinite(given.max_stream_age):
        refuse(f"--max-stream-age must be a number of seconds, not {given.max_stream_age}")
    is_known = given.keys is not None or jwt is not None or _has_keys(store)
    if given.insecure and is_known:
        refuse(
            f"--insecure lets anybody in, and {shown(store)} has keys, which say who may ask: revoke them, or drop it"
        )
    if not is_loopback(host) and not is_known and not given.insecure:
        refuse(
            f"--host {host or repr(host)} is reachable from other machines and there is no authentication: make a "
            "key with `reactor keys add` and give --keys, or give --jwks; --insecure lets anybody in"
        )
    caps = Caps() if given.max_streams is None else replace(Caps(), streams=given.max_streams)
    try:
        if given.keys is not None:
            asyncio.run(_check_keys(given.keys))
        return Guard(
            keys=given.keys,
            jwt=jwt,
            insecure=given.insecure,
            trusted_proxies=given.trusted_proxies,
            caps=caps,
            max_stream_age=given.max_stream_age,
        )
    except (KeyFileError, LogUnavailable, ValueError) as error:
        refuse(str(error))


async def _check_keys(keys: str) -> None:
    """Raises what is wrong with them, before the log is open."""
    if is_url(keys):
        async with opened_keys(keys):
            return
    KeyFile(keys).load()


def _has_keys(store: str) -> bool:
    """Whether there are keys in the log itself."""
    try:
        return asyncio.run(any_keys(store))
    except (LogUnavailable, ValueError) as error:
        refuse(str(error))


def check_allowed(names: Sequence[str]) -> list[str]:
    """The names of ``--allow-host``; refuses what is no name."""
    try:
        return sorted(check_hosts(names))
    except ValueError as error:
        refuse(str(error).replace("allowed_hosts:", "--allow-host:"))


def check_cors(origins: Sequence[str]) -> list[str]:
    """The origins of ``--cors``; refuses what is none."""
    try:
        return sorted(check_origins(origins))
    except ValueError as error:
        refuse(str(error).replace("cors:", "--cors:"))


def _named(given: Exposure) -> str:
    """The flag that says who may ask."""
    return "--keys (REACTOR_KEYS)" if given.keys is not None else "--jwks" if given.jwks is not None else SECRET


def _jwt(given: Exposure) -> JwtSettings | None:
    secret = _secret()
    if given.jwks is None and secret is None:
        flags = {"audience": given.audience, "issuer": given.issuer, "tenant-claim": given.tenant_claim}
        for flag, value in flags.items():
            if value is not None:
                refuse(f"--jwt-{flag} is about JWTs: give --jwks, or a secret in {SECRET}")
        return None
    if given.audience is None:
        refuse("JWTs need --jwt-audience: the aud that names this server, since an issuer may sign for others, too")
    if given.jwks is not None and secret is not None:
        refuse(f"give --jwks or {SECRET}, not both")
    is_url = given.jwks is not None and "://" in given.jwks
    try:
        settings = JwtSettings(
            audience=given.audience,
            key=secret,
            jwks_url=given.jwks if is_url else None,
            jwks_file=None if is_url else given.jwks,
            issuer=given.issuer,
            tenant_claim=given.tenant_claim,
        )
        if settings.jwks_file is not None:
            asyncio.run(Jwts(settings, SystemClock()).start())  # now, not when the log is open already
        return settings
    except ValueError as error:
        refuse(str(error))


def _secret() -> str | None:
    """The secret of the environment, without the end of the line that ``$(cat file)`` drops and ``env_file`` keeps."""
    secret = os.environ.get(SECRET)
    if secret is None:
        return None
    secret = secret.removesuffix("\n").removesuffix("\r")
    if not secret:
        refuse(f"{SECRET} is empty: give the secret, or unset it")
    return secret
