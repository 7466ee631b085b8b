"""The address that a request comes from, also behind proxies, and what it is counted under.

Any client can send ``Forwarded`` or ``X-Forwarded-For``. They are believed only as far as proxies have written them
that the operator names: from the right, each address must be one of a trusted proxy for the address before it to count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from aiohttp import web
from multidict import MultiMapping

from reactor.events.values import named

UNIX: Final = "unix"
"""In place of a network: the peer of a Unix socket, which has no address."""

_Address = IPv4Address | IPv6Address
_V6_BITS: Final = 64
"""One customer has a /64 at least, and may take a new address of it for each connection."""
_REMEMBERED: Final = 4_096
"""Addresses that are not parsed again: every request has one."""
_FORWARDED_BEGIN: Final = "FfVvXx"
_PORT: Final = re.compile(r":[0-9]{1,5}", re.ASCII)
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR: Final = re.compile(rf'[ \t]*({_TOKEN})=({_TOKEN}|"(?:[^"\\]|\\.)*")[ \t]*', re.ASCII)
"""One ``name=value`` of ``Forwarded`` (RFC 7239, section 4)."""
_QUOTED_PAIR: Final = re.compile(r"\\(.)")


class Proxies:
    """The proxies whose word is taken for where a request comes from.

    ``networks``: ``10.0.0.0/8``, ``2001:db8::/32``, single addresses, or ``unix``. Raises TypeError and ValueError.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        if isinstance(networks, str):
            raise TypeError(f"trusted proxies must be a list of networks, not {networks!r}: [{networks!r}]")
        given = list(networks)
        self._trusts_unix = UNIX in given
        self._networks = [_network(network) for network in given if network != UNIX]

    def __bool__(self) -> bool:
        return self._trusts_unix or bool(self._networks)

    def address_of(self, request: web.BaseRequest) -> str:
        """The address that a request comes from; empty for the peer of a Unix socket."""
        return self.find(_peer_of(request), request.headers)

    def trusts_peer_of(self, request: web.BaseRequest) -> bool:
        """Whether what sends the request is one of the proxies."""
        return self._trusts(_peer_of(request))

    def find(self, peer: str, headers: MultiMapping[str]) -> str:
        """The peer; where that is a trusted proxy, the rightmost address of its headers that is not one.

        Where all of them are, the leftmost. What cannot be read means the peer, and so do two headers that differ: a
        proxy that writes one of them lets the other one of its client pass.
        """
        if not self._trusts(peer):
            return _plain(peer)
        found = [
            self._rightmost(addresses)
            for name, read in (("Forwarded", _read_forwarded), ("X-Forwarded-For", _read_list))
            if (addresses := read(headers.getall(name, []))) != []
        ]
        if not found or found.count(found[0]) != len(found) or found[0] is None:
            return _plain(peer)
        return found[0]

    def cap_key_of(self, request: web.BaseRequest) -> str | None:
        """Under what a request is counted by its address; None: it comes from this machine itself, and is not.

        What a proxy on this machine has forwarded is counted, also where it is not told from whom.
        """
        address = self.address_of(request)
        found = _read_address(address)
        if not is_forwarded(request.headers) and (not address or (found is not None and found.is_loopback)):
            return None
        return key_of(address)

    def _trusts(self, peer: str) -> bool:
        if not peer:
            return self._trusts_unix
        address = _read_address(peer)
        return address is not None and self._is_proxy(address)

    def _is_proxy(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)

    def _rightmost(self, addresses: list[str] | None) -> str | None:
        found = None
        for text in reversed(addresses or ()):
            found = _read_node(text)
            if found is None or not self._is_proxy(found):
                break
        return None if found is None else str(found)


@lru_cache(_REMEMBERED)
def key_of(address: str) -> str:
    """What an address is counted under: IPv4 as it is, IPv6 by its /64; what is no address as it is."""
    found = _read_address(address)
    if found is None:
        return address
    return str(ip_network((found, _V6_BITS), strict=False)) if isinstance(found, IPv6Address) else str(found)


def is_forwarded(headers: Mapping[str, str]) -> bool:
    """Whether a proxy says that it has passed the request on."""
    for name in headers:
        if name[:1] in _FORWARDED_BEGIN:
            lower = name.lower()
            if lower in ("forwarded", "via", "x-real-ip") or lower.startswith("x-forwarded-"):
                return True
    return False


def _network(network: object) -> IPv4Network | IPv6Network:
    if not isinstance(network, str):
        raise TypeError(f"a trusted proxy is a network like '10.0.0.0/8', not {named(network)}")
    try:
        return ip_network(network.strip(), strict=False)
    except ValueError:
        raise ValueError(
            f"{network[:100]!r} is no network of trusted proxies: '10.0.0.0/8', '::1', or 'unix'"
        ) from None


def _peer_of(request: web.BaseRequest) -> str:
    name = request.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) and name else ""  # pyright: ignore[reportUnknownArgumentType]  # asyncio's


def _plain(peer: str) -> str:
    """The address of a peer, written as all others are."""
    address = _read_address(peer)
    return peer if address is None else str(address)


@lru_cache(_REMEMBERED)
def _read_address(text: str) -> _Address | None:
    try:
        address = ip_address(text.partition("%")[0])  # a link-local peer has the name of an interface behind it
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _read_node(text: str) -> _Address | None:
    """The address of ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or ``[2001:db8::1]:80``."""
    if "%" in text:
        return None
    if text.startswith("["):
        inner, closed, rest = text[1:].partition("]")
        is_whole = closed and ":" in inner and (not rest or _PORT.fullmatch(rest))
        return _read_address(inner) if is_whole else None
    if text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _PORT.fullmatch(f":{port}"):
            return None
    return _read_address(text)


def _read_list(lines: list[str]) -> list[str]:
    """The members of ``X-Forwarded-For``, however many lines it has."""
    return [member.strip(" \t") for line in lines for member in line.split(",")]


def _read_forwarded(lines: list[str]) -> list[str] | None:
    """The ``for`` of each element of ``Forwarded``, empty where it has none; None where it cannot be read."""
    found: list[str] = []
    for line in lines:
        place, node = 0, ""
        while True:
            if (pair := _PAIR.match(line, place)) is None:
                return None
            if pair[1].lower() == "for":
                if node:
                    return None  # an element says it once
                value = pair[2]
                node = _QUOTED_PAIR.sub(r"\1", value[1:-1]) if value.startswith('"') else value
            place = pair.end()
            if place == len(line) or line[place] == ",":
                found.append(node)
                node = ""
            elif line[place] != ";":
                return None
            if place == len(line):
                break
            place += 1
    return found
