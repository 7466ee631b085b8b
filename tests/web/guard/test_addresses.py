"""The address that a request comes from: its peer, or what trusted proxies say, and nothing that a client says."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from reactor_web.guard.addresses import Proxies, is_forwarded, key_of

TRUSTED = ("10.0.0.0/8", "2001:db8:ffff::/48", "::1")
PROXY = "10.0.0.1"
CLIENT = "203.0.113.7"


def found(peer: str, *lines: tuple[str, str], trusted: tuple[str, ...] = TRUSTED) -> str:
    return Proxies(trusted).find(peer, CIMultiDict(lines))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("203.0.113.7", CLIENT),
        ("203.0.113.7:4711", CLIENT),
        ("1.2.3.4, 203.0.113.7", CLIENT),
        ("garbage, <script>, 203.0.113.7, 10.9.9.9", CLIENT),
        (" 203.0.113.7 ,\t10.9.9.9 ", CLIENT),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:DB8:0::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("::ffff:203.0.113.7", CLIENT),
        ("10.0.0.9, 10.0.0.8", "10.0.0.9"),
    ],
)
def test_a_trusted_proxy_is_believed(value: str, expected: str) -> None:
    """The rightmost address that is no trusted proxy's; where all are, the leftmost. What is before it is no matter."""
    assert found(PROXY, ("X-Forwarded-For", value)) == expected
    assert found(f"::ffff:{PROXY}", ("x-forwarded-for", value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("for=203.0.113.7", CLIENT),
        ("FOR=203.0.113.7;proto=https;by=10.0.0.1", CLIENT),
        ('proto=http; for="203.0.113.7:80" ;host="a;b,c"', CLIENT),
        ("for=1.2.3.4, for=203.0.113.7,for=10.1.1.1", CLIENT),
        ('for="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
        (r'for="\2\03.0.113.7"', CLIENT),
        ("for=_hidden, for=203.0.113.7", CLIENT),
    ],
)
def test_forwarded_is_read_as_rfc_7239_says(value: str, expected: str) -> None:
    """Names in any case, quoted strings with commas and semicolons in them, IPv6 in brackets, ports."""
    assert found(PROXY, ("Forwarded", value)) == expected


@pytest.mark.parametrize(
    "lines",
    [
        [("X-Forwarded-For", "")],
        [("X-Forwarded-For", "unknown")],
        [("X-Forwarded-For", "203.0.113.7, unknown")],
        [("X-Forwarded-For", "203.0.113.7,")],
        [("X-Forwarded-For", "203.0.113.7:port")],
        [("X-Forwarded-For", "203.0.113.07")],
        [("X-Forwarded-For", "203.0.113.7, unknown, 10.0.0.3")],
        [("X-Forwarded-For", "fe80::1%eth0")],
        [("X-Forwarded-For", "[203.0.113.7]")],
        [("X-Forwarded-For", "[2001:db8::1")],
        [("X-Forwarded-For", "[2001:db8::1]x")],
        [("X-Forwarded-For", "²03.0.113.7")],
        [("Forwarded", "")],
        [("Forwarded", "for=unknown")],
        [("Forwarded", "for=_obscure")],
        [("Forwarded", "proto=https")],
        [("Forwarded", "for=203.0.113.7;for=1.2.3.4")],
        [("Forwarded", 'for="203.0.113.7')],
        [("Forwarded", "for=203.0.113.7 1.2.3.4")],
        [("Forwarded", "for=2001:db8::1")],
        [("Forwarded", 'for="evil, for=203.0.113.7')],
        [("Forwarded", "for=203.0.113.7"), ("X-Forwarded-For", "1.2.3.4")],
        [("Forwarded", "garbage"), ("X-Forwarded-For", CLIENT)],
    ],
)
def test_what_cannot_be_read_means_the_peer(lines: list[tuple[str, str]]) -> None:
    """And so do two headers that differ: one of them may be the client's own."""
    assert found(PROXY, *lines) == PROXY


def test_two_headers_that_agree_are_believed() -> None:
    """In whatever form they name the address."""
    assert found(PROXY, ("Forwarded", 'for="203.0.113.7:1"'), ("X-Forwarded-For", f"9.9.9.9, {CLIENT}")) == CLIENT


def test_several_lines_of_a_header_are_one_list() -> None:
    """A client cannot hide what a proxy adds by sending a line of its own first."""
    lines = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-For", f"{CLIENT}, 10.0.0.2")]
    assert found(PROXY, *lines) == CLIENT
    assert found(PROXY, ("Forwarded", "for=1.2.3.4"), ("Forwarded", f"for={CLIENT}")) == CLIENT


@pytest.mark.parametrize("trusted", [(), TRUSTED, ("unix",)])
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_a_peer_that_is_no_trusted_proxy_is_not_believed(trusted: tuple[str, ...], header: str) -> None:
    """Whatever it sends."""
    value = "1.2.3.4" if header == "X-Forwarded-For" else "for=1.2.3.4"
    assert found(CLIENT, (header, value), trusted=trusted) == CLIENT


def test_the_peer_of_a_unix_socket_is_believed_only_by_name() -> None:
    """``unix`` among the proxies: it has no address that could be in a network."""
    line = ("X-Forwarded-For", CLIENT)
    assert found("", line, trusted=("unix",)) == CLIENT
    assert found("", line, trusted=("0.0.0.0/0", "::/0")) == ""
    assert not Proxies()
    assert Proxies(["unix"])
    assert Proxies(["10.0.0.1"])


ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
NETWORKS = [ip_network(network) for network in TRUSTED]


def is_trusted(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in NETWORKS)


PROXIES = st.one_of(
    st.ip_addresses(network="10.0.0.0/8"), st.ip_addresses(network="2001:db8:ffff::/48"), st.just(ip_address("::1"))
)
STRANGERS = ADDRESSES.filter(
    lambda address: not is_trusted(address) and getattr(address, "ipv4_mapped", None) is None
    and getattr(address, "scope_id", None) is None
)  # fmt: skip


def node(address: IPv4Address | IPv6Address, port: int | None) -> str:
    text = f"[{address}]" if isinstance(address, IPv6Address) and port is not None else str(address)
    return text if port is None else f"{text}:{port}"


def forwarded(address: IPv4Address | IPv6Address, port: int | None) -> str:
    text = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    return f'for="{text if port is None else f"{text}:{port}"}"'


PORTS = st.one_of(st.none(), st.integers(0, 65_535))
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)


@given(said=TEXT, client=STRANGERS, port=PORTS, hops=st.lists(PROXIES, max_size=4), peer=PROXIES, data=st.data())
def test_whatever_a_client_sends_it_is_seen_with_its_own_address(
    said: str, client: IPv4Address, port: int | None, hops: list[IPv4Address], peer: IPv4Address, data: st.DataObject
) -> None:
    """Behind any number of trusted proxies that add to the list, on one line or on lines of their own."""
    chain = [node(client, port), *(node(hop, None) for hop in hops)]
    lines = [said]
    for entry in chain:
        if data.draw(st.booleans()):
            lines.append(entry)
        else:
            lines[-1] += f", {entry}"
    assert found(str(peer), *(("X-Forwarded-For", line) for line in lines)) == str(client)
    of_proxies = [forwarded(client, port), *(forwarded(hop, None) for hop in hops)]
    assert found(str(peer), ("Forwarded", ", ".join(of_proxies))) == str(client)


@given(said=TEXT, client=STRANGERS, peer=PROXIES)
def test_what_a_client_sends_as_forwarded_never_gives_it_another_address(
    said: str, client: IPv4Address, peer: IPv4Address
) -> None:
    """Its own or that of the proxy, also where its text breaks the header: never one that it has chosen."""
    values = [f"{said}, {forwarded(client, None)}", f'for="{said}, {forwarded(client, None)}']
    for value in values:
        assert found(str(peer), ("Forwarded", value)) in (str(client), str(peer))
    two = [("Forwarded", said), ("X-Forwarded-For", f"9.9.9.9, {client}")]
    assert found(str(peer), *two) in (str(client), str(peer))


@given(peer=st.one_of(ADDRESSES.map(str), TEXT), lines=st.lists(st.tuples(st.sampled_from(
    ["Forwarded", "X-Forwarded-For", "forwarded"]), TEXT)))  # fmt: skip
def test_no_header_breaks_it(peer: str, lines: list[tuple[str, str]]) -> None:
    """Any bytes give some text, and its key."""
    assert isinstance(key_of(found(peer, *lines, trusted=("0.0.0.0/0", "::/0", "unix"))), str)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:cb00:7107", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_an_address_is_counted_under_its_key(address: str, key: str) -> None:
    """IPv4 as it is, however it is written; IPv6 by the network of one customer."""
    assert key_of(address) == key


@given(one=st.ip_addresses(v=6), host=st.integers(0, 2**64 - 1))
def test_all_addresses_of_a_customer_have_one_key(one: IPv6Address, host: int) -> None:
    """Of one /64; those of another /64 have another."""
    if one.ipv4_mapped is None:
        prefix = int(one) >> 64 << 64
        assert key_of(str(IPv6Address(prefix | host))) == key_of(str(IPv6Address(prefix | (host ^ 1))))
        assert key_of(str(one)) != key_of(str(IPv6Address(int(one) ^ (1 << 64))))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Forwarded", True), ("X-Forwarded-For", True), ("x-forwarded-proto", True), ("X-FORWARDED-ANY", True),
     ("X-Real-IP", True), ("Via", True), ("X-Forward", False), ("Host", False), ("Accept", False)],
)  # fmt: skip
def test_a_proxy_is_seen_by_its_headers(name: str, expected: bool) -> None:
    """Also where it says nothing in them."""
    assert is_forwarded(CIMultiDict([("Host", "a"), (name, "")])) is expected


@pytest.mark.parametrize(
    ("networks", "error", "words"),
    [
        ("10.0.0.0/8", TypeError, "list of networks"),
        ([10], TypeError, "not 10"),
        (["10.0.0"], ValueError, "'10.0.0'"),
        (["10.0.0.0/33"], ValueError, "10.0.0.0/33"),
        (["proxy.example"], ValueError, "no network"),
    ],
)
def test_a_network_that_is_none_is_refused(networks: list[str], error: type[Exception], words: str) -> None:
    """With a sentence that names it."""
    with pytest.raises(error, match=words):
        Proxies(networks)


class Transport:
    """Says who the peer is."""

    def __init__(self, peer: object) -> None:
        self.peer = peer

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self.peer if name == "peername" else default


def request_of(peer: object, **headers: str) -> web.Request:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request("GET", "/", given, transport=Transport(peer))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("peer", "headers", "key"),
    [
        (("127.0.0.1", 9), {}, None),
        (("::1", 9, 0, 0), {}, None),
        (("::ffff:127.0.0.1", 9, 0, 0), {}, None),
        ("", {}, None),
        (("127.0.0.1", 9), {"Via": "1.1 nginx"}, "127.0.0.1"),
        (("127.0.0.1", 9), {"X_Forwarded_For": CLIENT}, CLIENT),
        (("127.0.0.1", 9), {"X_Forwarded_For": "2001:db8::1"}, "2001:db8::/64"),
        (("127.0.0.1", 9), {"Forwarded": "for=127.0.0.1"}, "127.0.0.1"),
        (("203.0.113.7", 9), {}, CLIENT),
        (("203.0.113.7", 9), {"X_Forwarded_For": "127.0.0.1"}, CLIENT),
        (("2001:db8:1:2::3", 9, 0, 0), {}, "2001:db8:1:2::/64"),
    ],
)
def test_what_comes_from_this_machine_itself_has_no_key(peer: object, headers: dict[str, str], key: str | None) -> None:
    """It is not capped by its address. What a proxy passed on is, also when nothing says from whom."""
    assert Proxies(["127.0.0.1"]).cap_key_of(request_of(peer, **headers)) == key
