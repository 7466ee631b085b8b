"""What JSON and an annotation give back: a value that nobody can tell from the first, or none at all."""

from __future__ import annotations

import math
import re
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag, StrEnum
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AnyUrl,
    Base64Bytes,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    HttpUrl,
    Json,
    PrivateAttr,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    WrapValidator,
    computed_field,
    field_validator,
    model_validator,
)
from pydantic import dataclasses as pydantic_dataclasses
from typing_extensions import TypedDict

from reactor.definition.binding import adapter_for
from reactor.events.restoring import encode_output, restore_output
from tests.helpers.ids import repr_without_address

BERLIN = ZoneInfo("Europe/Berlin")


class Colour(Enum):
    RED = "red"
    ODD = (1, 2)


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mode(StrEnum):
    FAST = "fast"


class Right(IntFlag):
    READ = 1
    WRITE = 2


class UserId(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int
    y: float = 0.0


@dataclass
class Place:
    name: str
    at: tuple[float, ...] = ()


@dataclass
class NamedPlace(Place):
    also: str = ""


@dataclass(frozen=True, slots=True)
class Frozen:
    when: datetime
    ids: frozenset[int] = frozenset()


@pydantic_dataclasses.dataclass
class Checked:
    size: int
    hidden: str = Field("", exclude=True)


class Movie(TypedDict, total=False):
    title: str
    year: int


class Person(BaseModel):
    name: str
    age: int | None = None
    born: datetime | None = None
    tags: set[str] = Field(default_factory=set)


class Employee(Person):
    office: str = "here"


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: int = 0


class Private(BaseModel):
    x: int = 0
    _seen: list[int] = PrivateAttr(default_factory=list)


class Hidden(BaseModel):
    x: int = Field(0, exclude=True)


class Aliased(BaseModel):
    from_: str = Field(alias="from")


class Area(BaseModel):
    side: float

    @computed_field
    def area(self) -> float:
        return self.side * 2


class Halved(BaseModel):
    """Each of its validators makes another value of its own result."""

    x: Decimal
    y: Decimal = Decimal(8)

    @field_validator("x")
    @classmethod
    def half(cls, x: Decimal) -> Decimal:
        return x / 2

    @model_validator(mode="after")
    def half_y(self) -> Halved:
        object.__setattr__(self, "y", self.y / 2)
        return self


class Unwrapped(BaseModel):
    x: Any

    @model_validator(mode="before")
    @classmethod
    def unwrap(cls, data: Any) -> Any:
        return data["x"] if isinstance(data, dict) and isinstance(data.get("x"), dict) else data


class Ticket(BaseModel):
    model_config = ConfigDict(frozen=True)
    number: uuid.UUID = Field(default_factory=uuid.uuid4)
    made: datetime = Field(default_factory=lambda: datetime.now(UTC))
    code: Annotated[str, StringConstraints(to_upper=True, strip_whitespace=True, max_length=3)] = Field(
        "A", frozen=True
    )


class Node(BaseModel):
    value: int = 0
    below: list[Node] = []


class Box(RootModel[list[Person]]):
    pass


def hidden(value: Any) -> Any:
    return Hidden(x=value)


def private(x: int, seen: list[int]) -> Private:
    made = Private(x=x)
    made._seen.extend(seen)
    return made


NUMBERS = st.integers(-(2**70), 2**70)
FLOATS = st.floats()
TEXTS = st.text(max_size=8)
ZONES = st.sampled_from([UTC, BERLIN, ZoneInfo("UTC"), timezone(timedelta(hours=2)), timezone(timedelta(0), "X"), None])
TIMES = st.builds(
    lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)) | st.just(datetime(2026, 10, 25, 2, 30)),
    ZONES,
    st.sampled_from([0, 1]),
)
PERSONS = st.builds(Person, name=TEXTS) | st.builds(Person, name=TEXTS, age=st.none() | st.integers(0, 9), born=TIMES)

LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, NUMBERS | st.booleans() | st.sampled_from(Level)),
    (float, FLOATS | st.integers(0, 3)),
    (bool, st.booleans() | st.sampled_from([0, 1])),
    (complex, st.complex_numbers()),
    (str, st.text(st.characters(exclude_categories=()), max_size=4) | st.builds(UserId, TEXTS) | st.sampled_from(Mode)),
    (bytes, st.binary(max_size=8)),
    (bytearray, st.builds(bytearray, st.binary(max_size=8))),
    (Decimal, st.decimals() | st.sampled_from([Decimal("1.10"), Decimal("1E+5"), Decimal("-0"), Decimal("sNaN")])),
    (Fraction, st.fractions()),
    (datetime, TIMES),
    (date, st.dates() | TIMES),
    (time, st.times(timezones=st.none() | st.just(UTC))),
    (timedelta, st.timedeltas()),
    (uuid.UUID, st.uuids()),
    (Path, st.sampled_from([Path("a"), Path("/a/../b"), PurePosixPath("a")])),
    (PurePath, st.sampled_from([PurePosixPath("a"), PureWindowsPath("c:\\a"), Path("a")])),
    (IPv4Address, st.ip_addresses(v=4)),
    (IPv6Address, st.ip_addresses(v=6)),
    (IPv4Network, st.just(IPv4Network("10.0.0.0/8"))),
    (IPv6Network, st.just(IPv6Network("fe80::/10"))),
    (IPv4Interface | IPv6Interface, st.sampled_from([IPv4Interface("10.0.0.1/8"), IPv6Interface("fe80::1%a/10")])),
    (re.Pattern, st.sampled_from([re.compile("a"), re.compile("a", re.IGNORECASE), re.compile(b"a")])),
    (Colour, st.sampled_from(Colour)),
    (Level, st.sampled_from(Level)),
    (Right, st.sampled_from([Right.READ, Right.READ | Right.WRITE, Right(0)])),
    (Mode, st.sampled_from(Mode)),
    (Point, st.builds(Point, st.integers(-9, 9), FLOATS)),
    (Place, st.builds(Place, TEXTS, st.tuples(FLOATS)) | st.builds(NamedPlace, TEXTS)),
    (Frozen, st.builds(Frozen, TIMES, st.frozensets(st.integers(0, 9)))),
    (Checked, st.builds(Checked, st.integers(0, 9)) | st.just(Checked(1, "secret"))),
    (Movie, st.just({"title": "x"}) | st.just({"year": 1, "title": "x"})),
    (Person, PERSONS | st.builds(Employee, name=TEXTS)),
    (Open, st.builds(Open) | st.builds(Open, x=st.just(1), y=st.none() | FLOATS | TIMES)),
    (Private, st.builds(private, st.integers(0, 2), st.lists(st.integers(0, 2), max_size=1))),
    (Hidden, st.builds(Hidden) | st.builds(hidden, st.integers(0, 1))),
    (Aliased, st.just(Aliased.model_validate({"from": "here"}))),
    (Area, st.builds(Area, side=FLOATS)),
    (Halved, st.builds(Halved, x=st.sampled_from([Decimal(0), Decimal(8)]))),
    (Unwrapped, st.builds(Unwrapped, x=st.sampled_from([1, {"x": 2}, {"x": {"x": 3}}]))),
    (Ticket, st.builds(Ticket) | st.builds(Ticket, code=st.sampled_from(["a", " b "]))),
    (Annotated[timedelta, WrapValidator(lambda v, check: check(v) * 2)], st.timedeltas(timedelta(0), timedelta(9))),
    (Annotated[date, BeforeValidator(lambda v: "2026-01-01")], st.sampled_from([date(2026, 1, 1), date(2026, 1, 2)])),
    (Node, st.just(Node(below=[Node(value=1), Node()]))),
    (Box, st.builds(Box, st.lists(PERSONS, max_size=2))),
    (SecretStr, st.sampled_from([SecretStr("x"), SecretStr("**********")])),
    (SecretBytes, st.just(SecretBytes(b"x"))),
    (Secret[int], st.just(Secret[int](5))),
    (AnyUrl, st.just(AnyUrl("http://a.b/c?d"))),
    (HttpUrl, st.just(HttpUrl("https://a.b/")) | st.just(AnyUrl("https://a.b/"))),
    (ByteSize, st.just(ByteSize(1024))),
    (Base64Bytes, st.binary(max_size=4)),
    (Json[list[int]], st.just([1])),
    (Annotated[float, AfterValidator(lambda v: v / 100)], FLOATS),
    (Annotated[Decimal, AfterValidator(lambda v: v / 100)], st.just(Decimal(5))),
    (int | str, st.sampled_from([1, "1"])),
    (date | str, st.sampled_from([date(2026, 1, 1), "2026-01-01"])),
    (Any, st.sampled_from([(1,), {1}, date(2026, 1, 1), object()])),
]
"""Annotations, and values that a body with that annotation may return: some fit, some nearly fit."""


def holders(leaf: tuple[Any, st.SearchStrategy[Any]]) -> list[tuple[Any, st.SearchStrategy[Any]]]:
    """The containers of one kind of member. ``float`` for ``int``: members that are equal, but of another type."""
    kind, values = leaf
    several = st.lists(values, max_size=3)
    found: list[tuple[Any, st.SearchStrategy[Any]]] = [
        (list[kind], several | several.map(tuple)),
        (tuple[kind, ...], several.map(tuple) | several),
        (dict[str, kind], st.dictionaries(TEXTS, values, max_size=3)),
        (Mapping[str, kind], st.dictionaries(TEXTS, values, max_size=3)),
        (OrderedDict[str, kind], st.dictionaries(TEXTS, values, max_size=3).map(OrderedDict)),
        (defaultdict[str, list[kind]], several.map(lambda v: defaultdict(list, {"a": v}))),
        (deque[kind], st.builds(deque, several, st.none() | st.just(3))),
        (kind | None, values | st.none()),
    ]
    if kind in (int, float, str, date, Decimal, uuid.UUID, Colour, Frozen):
        usable = values.filter(is_usable)
        found += [
            (set[kind], st.sets(usable, max_size=3)),
            (frozenset[kind], st.frozensets(usable, max_size=3)),
            (dict[kind, int], st.dictionaries(usable, st.integers(0, 9), max_size=3)),
            (Counter[kind], st.lists(usable, max_size=3).map(Counter)),
        ]
    return found


def is_usable(value: Any) -> bool:
    """A signalling NaN has no hash."""
    return not (isinstance(value, Decimal) and value.is_snan())


TYPES = st.recursive(
    st.sampled_from(LEAVES), lambda inner: inner.flatmap(lambda leaf: st.sampled_from(holders(leaf))), max_leaves=3
)
TYPED_VALUES = TYPES.flatmap(lambda leaf: st.tuples(st.just(leaf[0]), leaf[1]))


def looks_the_same(a: Any, b: Any) -> bool:
    """Equal in type and in everything that can be seen, all the way down. Written without the code it judges."""
    if type(a) is not type(b):
        return False
    if isinstance(a, BaseModel):
        sets = (a.model_fields_set, a.__pydantic_private__, a.__pydantic_extra__)
        return looks_the_same(a.__dict__, b.__dict__) and looks_the_same(
            sets, (b.model_fields_set, b.__pydantic_private__, b.__pydantic_extra__)
        )
    if isinstance(a, SecretStr | SecretBytes | Secret):
        return bool(a.get_secret_value() == b.get_secret_value())
    if is_dataclass(a):
        return all(looks_the_same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, dict):
        factories = [getattr(d, "default_factory", None) for d in (a, b)]
        pairs = zip(a.items(), b.items(), strict=True)
        return len(a) == len(b) and factories[0] is factories[1] and all(looks_the_same(x, y) for x, y in pairs)
    if isinstance(a, set | frozenset):
        return sorted(map(repr, a)) == sorted(map(repr, b))
    if isinstance(a, tuple | list | deque):
        bounds = [getattr(d, "maxlen", None) for d in (a, b)]
        return len(a) == len(b) and bounds[0] == bounds[1] and all(map(looks_the_same, a, b))
    if isinstance(a, datetime | time):
        return repr(a) == repr(b) and type(a.tzinfo) is type(b.tzinfo) and str(a.tzinfo) == str(b.tzinfo)
    return repr(a) == repr(b)


@settings(max_examples=300, deadline=None)
@given(TYPED_VALUES)
def test_what_is_restored_is_indistinguishable_from_what_was_returned(given: tuple[Any, Any]) -> None:
    """Over all types of values of pydantic and the standard library, nested: the same again, or not recoverable."""
    annotation, value = given
    before = repr(value)
    returns = adapter_for(annotation)
    encoded = encode_output(value, returns)
    assert repr(value) == before  # encoding changes nothing
    shown = orjson.loads(encoded.json)
    if not encoded.recoverable:
        return
    kept = orjson.loads(orjson.dumps(encoded.hints))  # hints go through the log too
    restored = restore_output(orjson.dumps(shown), returns if encoded.typed else None, kept)
    assert looks_the_same(restored, value), (restored, value)
    assert restored == value


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (datetime, datetime(2026, 3, 28, 12, tzinfo=BERLIN)),
        (datetime, datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN)),
        (datetime, datetime(2026, 3, 28, 12, tzinfo=UTC)),
        (datetime, datetime(2026, 3, 28, 12, tzinfo=timezone(timedelta(hours=2)))),
        (datetime, datetime(2026, 3, 28, 12)),
        (deque[int], deque([1, 2, 3], maxlen=3)),
        (set[int], {1, 2}),
        (frozenset[str], frozenset("ab")),
        (Decimal, Decimal("1.10")),
        (bytes, b"abc"),
        (uuid.UUID, uuid.UUID(int=5)),
        (Path, Path("/a")),
        (timedelta, timedelta(seconds=1.5)),
        (Fraction, Fraction(1, 3)),
        (IPv4Address, IPv4Address("10.0.0.1")),
        (Colour, Colour.RED),
        (Level, Level.HIGH),
        (Right, Right.READ | Right.WRITE),
        (Point, Point(1, -0.0)),
        (Place, Place("a", (1.0,))),
        (Frozen, Frozen(datetime(2026, 1, 1, tzinfo=BERLIN), frozenset({1}))),
        (Person, Person(name="Ann")),
        (Person, Person(name="Ann", age=None)),
        (list[Person], [Person(name="Ann", born=datetime(2026, 1, 1, tzinfo=UTC))] * 2_000),
        (Box, Box([Person(name="Ann")])),
        (Open, Open(x=1, y=2)),
        (Private, Private()),
        (Aliased, Aliased.model_validate({"from": "here"})),
        (AnyUrl, AnyUrl("http://a.b/")),
        (ByteSize, ByteSize(10)),
        (Counter[str], Counter("aab")),
        (defaultdict[str, list[int]], defaultdict(list, {"a": [1]})),
        (dict[int, tuple[date, ...]], {1: (date(2026, 1, 1),)}),
        (float, -0.0),
        (list[int], [1, 2]),
    ],
    ids=repr_without_address,
)
def test_usual_values_are_recoverable(annotation: Any, value: Any) -> None:
    """The rule is not kept by refusing everything: these are given back, each with all that can be seen of it."""
    returns = adapter_for(annotation)
    encoded = encode_output(value, returns)
    assert encoded.recoverable
    restored = restore_output(encoded.json, returns if encoded.typed else None, encoded.hints)
    assert looks_the_same(restored, value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (set[float], {1, 2}),
        (list[float], (1.0,)),
        (tuple[float, int], (1, True)),
        (dict[float, int], {1: 1}),
        (float, math.nan),
        (int, 2**70),
        (str, UserId("a")),
        (datetime, datetime(2026, 1, 1, tzinfo=timezone(timedelta(0), "X"))),
        (time, time(12, tzinfo=BERLIN)),
        (Person, Employee(name="Ann")),
        (Place, NamedPlace("a")),
        (Private, private(1, [2])),
        (Hidden, Hidden(x=1)),
        (Checked, Checked(1, "secret")),
        (SecretStr, SecretStr("x")),
        (re.Pattern, re.compile("a", re.IGNORECASE)),
        (Annotated[Decimal, AfterValidator(lambda v: v / 100)], Decimal(5)),
    ],
    ids=repr_without_address,
)
def test_what_would_come_back_as_something_else_is_not_recoverable(annotation: Any, value: Any) -> None:
    """Another type of a member, another name of a zone, a field that JSON does not have: any of them is too much."""
    encoded = encode_output(value, TypeAdapter(annotation))
    assert not encoded.recoverable
    assert not encoded.typed
    assert b"secret" not in encoded.json


def test_hints_of_another_value_are_refused() -> None:
    """The code has changed since: that is an error, and the caller runs the task again."""
    encoded = encode_output(deque([1], 3), TypeAdapter(deque[int]))
    assert encoded.hints == {"bounds": [[1, 3]]}
    for annotation, value in ((list[int], [1]), (list[deque[int]], [[1], [2]]), (list[Person], [{"name": "a"}])):
        with pytest.raises(ValueError, match="than it had"):
            restore_output(orjson.dumps(value), TypeAdapter(annotation), encoded.hints)


def test_a_value_that_needs_more_hints_than_an_event_has_room_for_is_not_recoverable() -> None:
    """They stand in the event itself."""
    many = [Person(name="a") if i % 2 else Person(name="a", age=1) for i in range(2_000)]
    assert not encode_output(many, TypeAdapter(list[Person])).recoverable


def test_each_default_of_a_field_stays_unset() -> None:
    """``model_dump(exclude_unset=True)`` says the same before and after."""

    class Outer(BaseModel):
        inner: list[Person] = []
        other: dict[str, Open] = field(default_factory=dict)

    value = Outer(inner=[Person(name="a", age=1), Person(name="b")], other={"o": Open(z=1)})
    returns = TypeAdapter(Outer)
    encoded = encode_output(value, returns)
    restored = restore_output(encoded.json, returns, encoded.hints)
    assert restored.model_dump(exclude_unset=True) == value.model_dump(exclude_unset=True)
