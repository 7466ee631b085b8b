"""Values that nearly cannot be told apart, and classes that hide from ``pickle`` and from JSON what they hold."""

from __future__ import annotations

import functools
import math
import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel, Secret, SecretBytes, SecretStr, create_model
from pydantic.dataclasses import dataclass as pydantic_dataclass

from reactor.events.exact import NoExactForm, keyed_digest

KEY = b"k" * 32
T = TypeVar("T")


class Colour(Enum):
    RED = 1
    ALSO = "1"


class Shade(Enum):
    RED = 1


class Level(IntEnum):
    RED = 1


class Mode(StrEnum):
    ONE = "1"


class Number(int):
    pass


class Text(str):
    __slots__ = ("hidden",)


class Pair(NamedTuple):
    x: Any
    y: Any


class Two(NamedTuple):
    x: Any
    y: Any


@dataclass
class Point:
    x: Any
    y: Any = field(default=2, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Spot:
    x: Any
    y: Any = 2


@pydantic_dataclass
class Checked:
    x: Any
    y: Any = Field(2, exclude=True)


class Login(BaseModel):
    x: Any = None
    password: SecretStr = SecretStr("")
    pin: Any = Field("", exclude=True)
    _seen: Any = PrivateAttr(default=None)


class Likewise(BaseModel):
    x: Any = None
    password: SecretStr = SecretStr("")
    pin: Any = Field("", exclude=True)
    _seen: Any = PrivateAttr(default=None)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Slotted(BaseModel):
    __slots__ = ("hidden",)
    x: Any = 1


class Box(BaseModel, Generic[T]):
    x: T


class Root(RootModel[Any]):
    pass


class Top(RootModel[Any]):
    pass


# --- classes that hide what they hold ---


class Unpickled(BaseModel):
    hidden: Any

    def __getstate__(self) -> dict[Any, Any]:
        return {**super().__getstate__(), "__dict__": {"hidden": None}}


@dataclass
class Stateless:
    hidden: Any

    def __getstate__(self) -> dict[str, Any]:
        return {}


@dataclass
class Reduced:
    hidden: Any

    def __reduce__(self) -> Any:
        return Reduced, (None,)


class Masked(str):
    __slots__ = ()

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        return ("***",)


class MaskedDict(dict[str, Any]):
    def items(self) -> Any:
        return [(key, "***") for key in self]


class MaskedList(list[Any]):
    def __iter__(self) -> Any:
        return iter(["***"] * len(self))


class Friendly:
    """Equal to everything."""

    def __init__(self, hidden: Any) -> None:
        self.hidden = hidden

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


class Zone(tzinfo):
    def __init__(self, hidden: Any = None) -> None:
        self.hidden = hidden

    def __getinitargs__(self) -> tuple[()]:
        return ()

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(0)


class Stamp(datetime):
    pass


class Day(date):
    pass


class Price(Decimal):
    pass


class Share(Fraction):
    pass


class Tally(Counter[str]):
    pass


class Id(UUID):
    pass


class Names(set[str]):
    pass


class Place(PurePosixPath):
    __slots__ = ("hidden",)


def with_hidden(made: Any, hidden: Any) -> Any:
    """An attribute beside what the class knows of."""
    object.__setattr__(made, "hidden", hidden)
    return made


HIDING: list[Callable[[Any], Any]] = [
    lambda hidden: Unpickled(hidden=hidden),
    Stateless,
    Reduced,
    lambda hidden: Masked(hidden),
    lambda hidden: MaskedDict(a=hidden),
    lambda hidden: MaskedList([hidden]),
    Friendly,
    Zone,
    lambda hidden: datetime(2026, 1, 1, tzinfo=Zone(hidden)),
    lambda hidden: with_hidden(Stamp(2026, 1, 1), hidden),
    lambda hidden: with_hidden(Day(2026, 1, 1), hidden),
    lambda hidden: with_hidden(Price(1), hidden),
    lambda hidden: with_hidden(Share(1, 2), hidden),
    lambda hidden: with_hidden(Tally("ab"), hidden),
    lambda hidden: with_hidden(Id(int=1), hidden),
    lambda hidden: with_hidden(Names("ab"), hidden),
    lambda hidden: with_hidden(Place("a"), hidden),
    lambda hidden: with_hidden(Text("a"), hidden),
    lambda hidden: with_hidden(Slotted(), hidden),
    lambda hidden: Login(password=SecretStr(str(hidden))),
    lambda hidden: Login(pin=hidden),
    lambda hidden: private(hidden),
    lambda hidden: Open(hidden=hidden),
    lambda hidden: SecretStr(hidden),
    lambda hidden: SecretBytes(str(hidden).encode()),
    lambda hidden: Secret[Any](hidden),
    lambda hidden: Point(1, hidden),
    lambda hidden: Checked(1, hidden),
    lambda hidden: SimpleNamespace(hidden=hidden),
    lambda hidden: MappingProxyType(MaskedDict(a=hidden)),
    lambda hidden: functools.partial(print, hidden),
    lambda hidden: _wrapped(hidden),
    lambda hidden: _named_like_another(hidden),
]
"""Each makes a value that holds something which its class keeps from JSON, ``repr``, ``==`` or ``pickle``."""


def private(seen: Any) -> Login:
    login = Login()
    login._seen = seen
    return login


def _public() -> None:
    """What a decorated function takes its name from."""


def _wrapped(hidden: Any) -> Callable[[], Any]:
    @functools.wraps(_public)
    def inner() -> Any:
        return hidden

    return inner


def _named_like_another(hidden: Any) -> Any:
    """A model of a class of which there are as many as calls, all of one name."""
    model: Any = create_model("Login", __module__=__name__, x=(Any, hidden))
    return model()


# --- values that are equal, or look alike, and can be told apart ---

BERLIN = ZoneInfo("Europe/Berlin")


def _group(*rows: list[Any]) -> list[Any]:
    return [value for row in rows for value in row]


GROUPS: list[list[Any]] = [
    _group(
        [1, 1.0, True, 1 + 0j, "1", b"1", bytearray(b"1"), Decimal(1), Decimal("1.0"), Fraction(1), Number(1)],
        [Text("1"), Colour.RED, Colour.ALSO, Shade.RED, Level.RED, Mode.ONE],
        [[1], (1,), {1}, frozenset({1}), {1: 1}, deque([1])],
    ),
    [0, 0.0, -0.0, False, None, "", b"", Decimal("-0"), Decimal(0), 0j, -0j, "None", "null", timedelta(0)],
    [math.nan, "NaN", Decimal("NaN"), Decimal("sNaN"), math.inf, -math.inf, "Infinity", None],
    [10**400, 10**400 + 1, -(10**400), float(2**53), 2**53, 2**53 + 1, 2**63, 2**64],
    _group(
        [[1, 2], (1, 2), {1, 2}, deque([1, 2]), deque([1, 2], 2), deque([1, 2], 3), Pair(1, 2), Two(1, 2)],
        [range(1, 3), [[1], 2], [1, [2]], [1, 2, None]],
        [Point(1, 2), Spot(1, 2), Checked(1, 2), {"x": 1, "y": 2}, Counter(x=1, y=2), SimpleNamespace(x=1, y=2)],
        [OrderedDict(x=1, y=2), OrderedDict(y=2, x=1), defaultdict(int, x=1, y=2), defaultdict(str, x=1, y=2)],
        [MappingProxyType({"x": 1, "y": 2}), MappingProxyType(OrderedDict(x=1, y=2))],
    ),
    _group(
        [Login(), Likewise(), Login(x=None), Open(x=None), Root(None), Top(None), Root({"x": None}), {"x": None}],
        [Login(password=SecretStr("")), SecretStr(""), SecretStr("**********"), SecretBytes(b""), Secret[str]("")],
    ),
    _group(
        [Box[int](x=1), Box[bool].model_construct(x=1), Box[Any](x=1), Box(x=1), Box[Login](x=Login())],
        [Box[Likewise].model_construct(x=Login()), Box[list[int]](x=[1]), Box[list[str]].model_construct(x=[1])],
    ),
    _group(
        [datetime(2026, 1, 1, tzinfo=zone) for zone in (None, UTC, BERLIN, ZoneInfo("UTC"))],
        [datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1), name)) for name in ("CET", "BST")],
        [datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))), datetime(2026, 1, 1, fold=1), date(2026, 1, 1)],
        [Stamp(2026, 1, 1), Day(2026, 1, 1), "2026-01-01", time(0), time(0, fold=1), time(0, tzinfo=UTC)],
    ),
    [re.compile("a"), re.compile("a", re.I), re.compile(b"a"), "a", b"a", PurePosixPath("a"), Place("a"), Id(int=1)],
    [int, float, "int", print, len, dict.fromkeys, OrderedDict.fromkeys, Colour, Shade, ..., NotImplemented],
    [{"a": 1}, {"a": 1, "b": None}, {"a": {"b": None}}, {b"a": 1}, [["a", 1]], [("a", 1)], {"a": 1.0}, {"a": True}],
    ["ab", "a\x00b", "\ud800", "\ufffd", "a", ["a", "b"], ["ab"], {"ab": None}],
]
"""In each group every value can be told from every other one."""


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:  # also of a signalling NaN
        return False
    return True


WRAPPERS: list[Callable[[Any], Any]] = [
    lambda value: [value],
    lambda value: (0, value),
    lambda value: {"k": value},
    lambda value: {value: 1} if _is_hashable(value) else [1, value],
    lambda value: frozenset({value}) if _is_hashable(value) else [2, value],
    lambda value: [0] * 101 + [value],
    lambda value: deque([value], 5),
    lambda value: Pair(value, value),
    lambda value: Point(1, value),
    lambda value: Spot(value),
    lambda value: Login(x=value),
    lambda value: Login(pin=value),
    lambda value: private(value),
    lambda value: Open(more=value),
    lambda value: Root(value),
    lambda value: Box[Any](x=value),
    lambda value: Secret[Any](value),
    lambda value: Friendly(value),
    lambda value: Reduced(value),
    lambda value: MappingProxyType({"k": value}),
    lambda value: defaultdict(list, k=value),
]
"""Each puts a value into another one."""


def digest(value: Any) -> str | None:
    """None where the value has no digest."""
    try:
        return keyed_digest(KEY, value)
    except NoExactForm:
        return None


def all_digests() -> list[list[str | None]]:
    """Of each value of each group, alone and in every wrapper, and of each that hides something."""
    digests = [[digest(value) for value in group] for group in GROUPS]
    digests += [[digest(wrap(value)) for value in GROUPS[0]] for wrap in WRAPPERS]
    digests += [[digest(hide(hidden)) for hidden in ("a", "b")] for hide in HIDING]
    names = [str(n) for n in range(50)]
    digests.append([digest(Names(names)), digest(set(names)), digest(dict.fromkeys(names)), digest(Tally(names))])
    return digests
