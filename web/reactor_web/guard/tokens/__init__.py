"""Who asks by a JWT (RFC 7519): signed by an issuer, checked here without asking it.

settings   JwtSettings: which keys, which claims, checked when they are made
signing    algorithms and keys: what fits what, and whether a key has signed a token
jwks       a set of public keys (RFC 7517), and the one that a token names
sources    where keys come from: the settings, or a file that may change
fetching   where keys come from: a URL, asked seldom
compact    the form of a token: its three parts
claims     what a token says becomes a Principal
jwts       Jwts: a token becomes a Principal, and is remembered for a minute
"""

from reactor_web.guard.tokens.jwts import Jwts
from reactor_web.guard.tokens.settings import JwtSettings

__all__ = ["JwtSettings", "Jwts"]
