"""``python -m benchmarks holds [--only TEXT] [--rounds N] [--quick] [--json FILE [--resume]] [--markdown FILE]``.

How long any single request of at most the allowed size holds the loop of a server: each route is sent the worst inputs
of ``holds_inputs``. One round is enough where that is far below the limit; else the least of some rounds counts, since
what the machine or a garbage collection of earlier requests adds is not of this one.

The files are written as it goes, and ``--resume`` measures what is not in FILE.
"""

from __future__ import annotations

import argparse
import socket
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.child import Child
from benchmarks.holds_inputs import Attack, attacks

LIMIT_MS: Final = 50.0
CLEAR_MS: Final = 20.0
MORE_ROUNDS: Final = 5
QUIET: Final = 0.15
"""Seconds without a byte after which a stream has said what it says."""
SILENT: Final = 8.0
"""The same, where it has said nothing but its head: it may have to read the whole run first."""
HEAD: Final = 1_000
"""Bytes."""
LONGEST: Final = 30.0
_NUMBERS: Final = count(1)


@dataclass(frozen=True, slots=True)
class Held:
    """One attack: the longest hold of the loop, in milliseconds."""

    route: str
    name: str
    sent: int
    """Bytes."""
    status: int
    answered: int
    """Bytes."""
    gap: float
    """The longest hold: as ``Probe`` says."""
    cpu: float
    """The longest single callback."""
    callback: str
    collector: float = 0.0
    """The longest pause of the interpreter's garbage collector."""


# --- sending ----------------------------------------------------------------------------------------------------


def request(attack: Attack, key: str) -> bytes:
    """The bytes of a request."""
    number = str(next(_NUMBERS))
    headers = {"Host": "127.0.0.1", "Authorization": f"Bearer {key}", "Connection": "close", **attack.headers}
    if attack.body or attack.method in ("POST", "PUT"):
        headers["Content-Length"] = str(len(attack.body.replace(b"{n}", number.encode())))
    lines = [f"{attack.method} {attack.path.replace('{n}', number)} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in (*headers.items(), *attack.more)]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + attack.body.replace(b"{n}", number.encode())


def frame(message: bytes) -> bytes:
    """A text frame of a client, whose mask changes nothing (RFC 6455, 5.2)."""
    size = len(message)
    length = bytes([0x80 | size]) if size < 126 else (
        b"\xfe" + size.to_bytes(2) if size < 1 << 16 else b"\xff" + size.to_bytes(8)
    )  # fmt: skip
    return b"\x81" + length + bytes(4) + message


def send(port: int, attack: Attack, key: str) -> tuple[int, int]:
    """Sends an attack and reads what comes; returns the status and the bytes of the answer."""
    answer = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=LONGEST) as connection:
        with suppress(ConnectionError):  # it is refused before all of it is read
            connection.sendall(request(attack, key) + b"".join(map(frame, attack.messages)))
        until = monotonic() + LONGEST
        with suppress(TimeoutError, ConnectionError):
            while monotonic() < until and (data := connection.recv(1 << 20)):
                answer += data
                if b"text/event-stream" in answer[:2_000] or attack.headers.get("Connection") == "Upgrade":
                    connection.settimeout(QUIET if len(answer) > HEAD else SILENT)
    status = answer[9:12]
    return int(status) if status.isdigit() else 0, len(answer)


class Server:
    """The server under attack."""

    def __init__(self, quick: bool) -> None:
        self._child = Child.module("holds_server", *(["--quick"] if quick else []))
        told = self._child.answer(1_800)  # it starts the runs that are asked for
        self.port, self.key = told["port"], told["key"]

    def attack(self, attack: Attack) -> Held:
        """One round."""
        self._taken()
        status, answered = send(self.port, attack, self.key)
        sleep(0.02)  # what it does after the answer
        seen = self._taken()
        sent = len(attack.body) + sum(map(len, attack.messages))
        return Held(attack.route, attack.name, sent, status, answered, **seen)

    def _taken(self) -> dict[str, Any]:
        self._child.tell("")
        return dict(self._child.answer(120))

    def close(self) -> None:
        self._child.close()


def measure(server: Server, attack: Attack, rounds: int) -> Held:
    """The least of some rounds; of more where that is above the limit."""
    found = [server.attack(attack)]
    while (least := _least(found).gap) > CLEAR_MS and len(found) < rounds + (MORE_ROUNDS if least > LIMIT_MS else 0):
        found.append(server.attack(attack))
    return _least(found)


def _least(rounds: Sequence[Held]) -> Held:
    least = min(rounds, key=lambda held: held.gap)
    return replace(least, answered=max(one.answered for one in rounds))


# --- telling ----------------------------------------------------------------------------------------------------


def worst_of_each(held: Sequence[Held]) -> list[Held]:
    """The worst input of each route, the worst route first."""
    by_route: dict[str, Held] = {}
    for one in held:
        if one.route not in by_route or one.gap > by_route[one.route].gap:
            by_route[one.route] = one
    return sorted(by_route.values(), key=lambda one: -one.gap)


def table_of(held: Sequence[Held]) -> Table:
    table = Table("route", "worst input", "sent", "status", "answered", "held, ms", "callback, ms", "by", "gc, ms")
    for one in held:
        table.add_row(
            one.route, one.name, f"{one.sent:,}", str(one.status), f"{one.answered:,}", f"{one.gap:.1f}",
            f"{one.cpu:.1f}", one.callback, f"{one.collector:.1f}",
        )  # fmt: skip
    return table


def markdown(held: Sequence[Held], counts: Mapping[str, int]) -> str:
    """The table of docs/performance.md."""
    rows = [
        f"| `{one.route}` | {counts[one.route]} | {one.name.replace('|', '/')} | {one.sent:,} | {one.status} |"
        f" {one.answered:,} | {one.gap:.1f} | {one.collector:.1f} |\n"
        for one in held
    ]
    names = ("route", "inputs", "the worst", "bytes", "status", "answered", "held, ms", "collector, ms")
    head = f"| {' | '.join(names)} |\n" + "|---" * len(names) + "|\n"
    return head + "".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks holds", description=__doc__)
    parser.add_argument("--only", default="", help="only attacks whose route and name have this text")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="smaller runs behind the answers")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--resume", action="store_true", help="keep what is in the file of --json, measure the others")
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args(arguments)
    console = Console(width=200)
    held = kept(given.json) if given.resume else []
    chosen = [attack for attack in attacks() if given.only in f"{attack.route} {attack.name}"]
    for number, one in enumerate(sweep(others(chosen, held), given.quick, given.rounds), start=1):
        held.append(one)
        if one.gap > LIMIT_MS:
            console.print(table_of([one]))
        if number % 20 == 0:
            write(held, given.json, given.markdown)
    console.print(table_of(worst_of_each(held)))
    write(held, given.json, given.markdown)
    return int(any(one.gap > LIMIT_MS for one in held))


def kept(file: Path | None) -> list[Held]:
    """What an earlier sweep has measured."""
    if file is None or not file.exists():
        return []
    return [Held(**one) for one in orjson.loads(file.read_bytes())]


def others(chosen: Sequence[Attack], held: Sequence[Held]) -> list[Attack]:
    """Those that are not measured. Some have the same name, and are as many as they were."""
    known = Counter((one.route, one.name) for one in held)
    wanted: list[Attack] = []
    for attack in chosen:
        if known[attack.route, attack.name]:
            known[attack.route, attack.name] -= 1
        else:
            wanted.append(attack)
    return wanted


def sweep(wanted: Sequence[Attack], quick: bool, rounds: int) -> Iterator[Held]:
    """Measures one attack after the other."""
    if not wanted:
        return
    server = Server(quick)
    try:
        for attack in wanted:
            yield measure(server, attack, rounds)
    finally:
        server.close()


def write(held: Sequence[Held], json: Path | None, table: Path | None) -> None:
    """Writes the files that were asked for, with what is known until now."""
    if json:
        json.write_bytes(orjson.dumps([asdict(one) for one in held], option=orjson.OPT_INDENT_2))
    if table:
        table.write_text(markdown(worst_of_each(held), Counter(one.route for one in held)))


if __name__ == "__main__":
    sys.exit(main())
