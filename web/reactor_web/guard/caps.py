"""How much somebody may ask for: what is capped, what is taken for a request, and that all of it is given back.

Caps are asked from the narrow to the wide one: who is over a cap of their own is told that one, and takes nothing from
those of all. A tenant has counts of its own, and never all that there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from hashlib import sha256
from math import ceil
from typing import Final

from reactor.ports.access import CapCounter
from reactor.requests import number_problem
from reactor_web.guard.principal import Principal
from reactor_web.http.codes import CODES
from reactor_web.http.problems import Problem

MOST: Final = 10_000_000
"""What no cap can be above."""
_WHO_CHARS: Final = 128
"""Of what is counted, as it is; what is longer is counted by its digest."""


@dataclass(frozen=True, slots=True)
class Take:
    """One cap of which something is taken."""

    cap: str
    """Its name, which is also the code of a refusal."""
    who: str
    """Who it is about; empty: all."""
    most: int
    seconds: float | None = None
    """It counts for so long; None: until it is given back."""
    count: int = 1
    retry_seconds: int = 1
    """When somebody who was refused may try again."""


class Limited(Problem):
    """A cap refuses a request: answered by the middleware ``problems``, or by ``limited.answer_limited``."""

    def __init__(self, take: Take) -> None:
        code = CODES[take.cap]
        super().__init__(code.status, code.detail(take.most), code=take.cap, retry_after=take.retry_seconds)
        self.code = take.cap
        self.retry_seconds = take.retry_seconds


class Taken:
    """What was taken of several caps. It is given back once, however often that is asked for."""

    def __init__(self, counter: CapCounter, takes: Iterable[Take] = ()) -> None:
        self._counter = counter
        self._takes = list(takes)

    async def give_back(self) -> None:
        """Gives back what counts until then. What counts for some seconds goes on counting."""
        takes, self._takes = self._takes, []
        await _give_back(self._counter, [take for take in takes if take.seconds is None])


async def take_all(counter: CapCounter, takes: Iterable[Take]) -> Taken:
    """Takes all of it in order, or nothing: raises Limited for the first cap that refuses."""
    taken: list[Take] = []
    try:
        for take in takes:
            if not await counter.take(take.cap, take.who, take.most, take.seconds, count=take.count):
                raise Limited(take)
            taken.append(take)
    except BaseException:
        await _give_back(counter, taken)
        raise
    return Taken(counter, taken)


async def _give_back(counter: CapCounter, takes: list[Take]) -> None:
    """Each of them, also where one cannot be given back; raises what was raised."""
    errors: list[Exception] = []
    for take in takes:
        try:
            await counter.give_back(take.cap, take.who, count=take.count)
        except Exception as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("a cap cannot be given back", errors)


@dataclass(frozen=True, slots=True)
class Caps:
    """The caps of a server. None switches one off. Raises ValueError, one sentence that names the cap.

    Each cap of all is also one of each tenant, which is ``tenant_share`` of it; the default tenant ``""`` may take all.
    Where nobody must say who they are there are no principals, and no caps of theirs.
    """

    streams: int | None = 10_000
    """Open at the same time, as all of the following: also WebSockets, and answers that are waited for (``Prefer:
    wait``, a page with ``wait``)."""
    streams_per_principal: int | None = 1_000
    streams_per_run: int | None = 5_000
    streams_per_address: int | None = 1_000
    """A browser has 6 at most, and many people may share an address."""
    connects_per_second: float | None = 20.0
    """Streams and pages of events that one address asks for, over time."""
    connects_burst: int = 200
    """Streams that one address may open at once: after a cut all of its tabs come back together."""
    starts_per_second: float | None = 500.0
    starts_per_second_per_principal: float | None = 100.0
    open_runs: int | None = 10_000
    """Also sessions."""
    waiting: int | None = 1_000
    """Streams that wait for a run which has not started (``await_run``)."""
    emits_per_second: float | None = 1_000.0
    """Events that one principal says in runs."""
    tenant_share: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and "None" in str(field.type):
                continue
            is_rate, is_share = "float" in str(field.type), field.name == "tenant_share"
            problem = number_problem(value, 0.001 if is_rate else 1, 1 if is_share else MOST)
            if problem is None and not is_rate and not isinstance(value, int):
                problem = f"must be a whole number, not {value!r}"
            if problem is not None:
                raise ValueError(f"the cap {field.name} {problem}")
        if self.connects_per_second is not None and self.connects_burst < self.connects_per_second:
            raise ValueError(f"the cap connects_burst must be connects_per_second at least: {self.connects_per_second}")

    def of_connect(self, address: str | None) -> Iterator[Take]:
        """Of a stream that is asked for, before it is known who asks. ``address``: of ``Proxies.cap_key_of``."""
        if self.connects_per_second is not None and address is not None:
            seconds = self.connects_burst / self.connects_per_second
            # as long as the window: who was refused in a storm must not make the next one
            retry = ceil(seconds)
            yield Take("too-many-connects", _who(address), self.connects_burst, seconds, retry_seconds=retry)

    def of_stream(self, principal: Principal, tenant: str, run_id: str, address: str | None) -> Iterator[Take]:
        """Of an open stream. ``run_id``: empty for a stream of several runs."""
        if self.streams_per_principal is not None and principal.id:
            who = _who(tenant, principal.id)
            yield Take("too-many-streams-of-you", who, self.streams_per_principal, retry_seconds=10)
        if self.streams_per_address is not None and address is not None:
            yield Take("too-many-streams-of-address", _who(tenant, address), self.streams_per_address, retry_seconds=10)
        if self.streams_per_run is not None and run_id:
            yield Take("too-many-streams-of-run", _who(tenant, run_id), self.streams_per_run, retry_seconds=10)
        yield from self._of_all("too-many-streams", tenant, self.streams, retry_seconds=10)

    def of_start(self, principal: Principal, tenant: str) -> Iterator[Take]:
        """Of a run that is started, or a session that is opened: that this is not done too often.

        Not of somebody without a name: where nobody is told apart there is only this machine, whose user it is.
        """
        if not principal.id:
            return
        if self.starts_per_second_per_principal is not None:
            most, seconds = _window(self.starts_per_second_per_principal)
            yield Take("too-many-starts-of-you", _who(tenant, principal.id), most, seconds, retry_seconds=ceil(seconds))
        if self.starts_per_second is not None:
            most, seconds = _window(self.starts_per_second)
            yield from self._of_all("too-many-starts", tenant, most, seconds, retry_seconds=ceil(seconds))

    def of_open_run(self, tenant: str) -> Iterator[Take]:
        """Of a run or a session, as long as it is open."""
        return self._of_all("too-many-open-runs", tenant, self.open_runs, retry_seconds=5)

    def of_waiting(self, tenant: str) -> Iterator[Take]:
        """Of a stream that waits for its run to start."""
        return self._of_all("too-many-waiting", tenant, self.waiting, retry_seconds=5)

    def of_emit(self, principal: Principal, tenant: str, events: int = 1) -> Iterator[Take]:
        """Of events that are said in a run. Of more than a second of them at once, all of that second is taken."""
        if self.emits_per_second is not None and principal.id:
            most, seconds = _window(self.emits_per_second)
            yield Take(
                "too-many-emits", _who(tenant, principal.id), most, seconds, min(events, most), ceil(seconds)
            )  # fmt: skip

    def _of_all(
        self, cap: str, tenant: str, most: int | None, seconds: float | None = None, *, retry_seconds: int
    ) -> Iterator[Take]:
        if most is None:
            return
        if tenant:
            share = max(1, int(most * self.tenant_share))
            yield Take(f"{cap}-of-tenant", _who(tenant), share, seconds, retry_seconds=retry_seconds)
        yield Take(cap, "", most, seconds, retry_seconds=retry_seconds)


def _window(per_second: float) -> tuple[int, float]:
    """(how many, in so many seconds): a second, or as long as one takes."""
    return (int(per_second), 1.0) if per_second >= 1 else (1, 1 / per_second)


def _who(*parts: str) -> str:
    """Who a cap is about, as one text of a bounded length. Different parts never make the same text."""
    who = "".join(f"{len(part)}:{part}" for part in parts)
    return who if len(who) <= _WHO_CHARS else sha256(who.encode("utf-8", "surrogatepass")).hexdigest()
