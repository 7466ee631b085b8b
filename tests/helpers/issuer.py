"""An issuer of JWTs: its keys, the tokens it signs, and a server for its public keys."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from reactor.events.timing import unix_seconds
from reactor.testing import VirtualClock

SECRET = "a-secret-of-this-test-that-is-long-enough-for-sha-512-in-hmac-as-well"
AUDIENCE = "reactor"


@cache
def private_key(name: str = "RS256", number: int = 0) -> Any:
    """A key for an algorithm; made once, because RSA takes a while. ``number``: another one."""
    curves: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    if name.startswith("HS"):
        return SECRET
    if name == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(curves[name]) if name in curves else _rsa_key(number)


@cache
def _rsa_key(number: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2_048)


def public_pem(private: Any) -> str:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def verifying(algorithm: str) -> str:
    """What ``JwtSettings(key=)`` is given for an algorithm."""
    return SECRET if algorithm.startswith("HS") else public_pem(private_key(algorithm))


def jwk(private: Any, **members: Any) -> dict[str, Any]:
    """The public key as a JWK; a member that is None is left out."""
    public = private.public_key()
    kinds: list[tuple[type, Any]] = [(rsa.RSAPublicKey, RSAAlgorithm), (ec.EllipticCurvePublicKey, ECAlgorithm)]
    kind = next((kind for of, kind in kinds if isinstance(public, of)), OKPAlgorithm)
    made = {**kind.to_jwk(public, as_dict=True), "use": "sig", **members}
    return {name: value for name, value in made.items() if value is not None}


def claims_at(clock: VirtualClock, **claims: Any) -> dict[str, Any]:
    """Claims that are accepted for an hour; one that is None is left out."""
    now = unix_seconds(clock.now().decode())
    made = {"sub": "ann", "aud": AUDIENCE, "exp": now + 3_600, "scope": "read run", **claims}
    return {name: value for name, value in made.items() if value is not None}


def token(
    claims: dict[str, Any], algorithm: str = "HS256", key: Any = None, headers: dict[str, Any] | None = None
) -> str:
    """A token that PyJWT has signed."""
    return jwt.encode(claims, key or private_key(algorithm), algorithm, headers)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header: Any, claims: Any, secret: bytes = SECRET.encode()) -> str:
    """A token signed with HMAC-SHA-256, whatever its header says. Bytes are taken as they are."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    signed = ".".join(map(base64url, parts))
    return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


class KeyServer:
    """Serves a JWKS on this machine and counts who asks."""

    def __init__(self) -> None:
        self.document: Any = {"keys": []}
        self.asked = 0
        self.open = 0
        """Requests that are not answered yet."""
        self.gate = asyncio.Event()
        """Cleared: answers wait."""
        self.gate.set()
        self.answer: web.Response | None = None
        """Instead of the document."""
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http{'' if self.tls is None else 's'}://localhost:{self.port}/jwks"

    def serves(self, *keys: dict[str, Any]) -> None:
        self.document = {"keys": list(keys)}

    async def live(self) -> None:
        """Listens, after ``die`` on the same port."""
        app = web.Application()
        app.router.add_get("/jwks", self._answer)
        app.router.add_get("/elsewhere", self._document)
        self._runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self.tls).start()
        self.port = self._runner.addresses[0][1]

    async def die(self) -> None:
        """Closes its port and its connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.open += 1
        try:
            await self.gate.wait()
        finally:
            self.open -= 1
        return await self._document(request) if self.answer is None else self.answer

    async def _document(self, request: web.Request) -> web.Response:
        return web.json_response(self.document)


@asynccontextmanager
async def key_server() -> AsyncIterator[KeyServer]:
    server = KeyServer()
    await server.live()
    try:
        yield server
    finally:
        server.gate.set()
        await server.die()
