"""A large output in pieces is byte for byte what it is as a whole, and no step of it is long."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, PlainSerializer, SecretStr, TypeAdapter

from reactor.events import drafts, in_pieces
from reactor.events.in_pieces import encode_in_pieces, encode_small, plain_pieces
from reactor.events.restoring import Encoded, encode_output
from reactor.events.values import preview


class Point(BaseModel):
    x: float = 0.0
    name: str | None = None
    at: datetime | None = None


class Raises(BaseModel):
    """Its ``__eq__`` raises, as a user's may."""

    x: int

    def __eq__(self, other: object) -> bool:
        raise ValueError("no")


@pytest.fixture(autouse=True, scope="module")
def small_pieces() -> Iterator[None]:
    """So that small values are cut everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_pieces, "_MOST", 12)
        patch.setattr(in_pieces, "_MEMBERS", 3)
        patch.setattr(in_pieces, "_MODELS", 2)
        patch.setattr(in_pieces, "_CHARS", 5)
        yield


def finish(steps: Generator[None, None, Encoded]) -> Encoded:
    """Takes all steps that are left."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def in_steps(value: Any, annotation: Any = Any) -> Encoded:
    """As a task encodes it: at once if it is small, else to the end of its steps."""
    adapter = None if annotation is Any else TypeAdapter(annotation)
    encoded = finish(encode_in_pieces(value, adapter, annotation))
    assert encode_small(value, adapter) in (None, encoded)
    return encoded


def whole(value: Any, annotation: Any = Any) -> Encoded:
    return encode_output(value, None if annotation is Any else TypeAdapter(annotation))


CHARACTERS = st.sampled_from('aé"\\\n\u2028\u2029\u0085\U0001f600\x00')
TEXTS = st.text(CHARACTERS, max_size=40)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(TEXTS, inner, max_size=8),
    max_leaves=60,
)
NO_NUMBERS = [2**64, float("nan"), Decimal("1.5")]
NO_TEXTS = ["\ud800", "long \ud800 text of more than some characters", b"x", SecretStr("s")]
NO_LISTS: list[Any] = [(1, 2), {1}, deque([1], 3), Point(x=1), object, iter([])]
NO_OBJECTS: list[Any] = [{1: 2}, {1: "a", "1": "b"}, {"\ud800": 1}]
ODD = st.sampled_from([*NO_NUMBERS, *NO_TEXTS, *NO_LISTS, *NO_OBJECTS])
ANY = st.recursive(
    PLAIN | ODD,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXTS, inner, max_size=6) | st.tuples(inner, inner),
    max_leaves=40,
)


@settings(deadline=None)
@given(value=PLAIN)
def test_plain_json_in_pieces_is_the_same(value: Any) -> None:
    """At any level, with every character that JSON escapes on both sides of a cut."""
    encoded = in_steps(value)
    assert encoded == whole(value)
    assert encoded.recoverable
    assert b"".join(plain_pieces(value)) == encoded.json


@settings(deadline=None, max_examples=60)
@given(value=ANY)
@example(value=[[1, 2, 3] * 9, [object()] * 9])
@example(value={str(i): [i] * 20 for i in range(9)} | {"1": (1,)})
@example(value={1: "a", 2: "b", "1": "c", 3: "d"})
@example(value={**{str(i): i for i in range(9)}, 5: (1,)})
@example(value=["\ud800", *range(20), object])
def test_what_is_shown_in_pieces_is_the_same(value: Any) -> None:
    """Also what no log gives back: it is shown as it is shown whole."""
    assert in_steps(value) == whole(value)


def folded(text: str) -> str:
    return text.lower()


TYPED: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (list[Point], st.lists(st.builds(Point, x=st.floats(-1, 1), name=TEXTS | st.none()), max_size=9)),
    (
        dict[str, Point],
        st.dictionaries(TEXTS, st.builds(Point, at=st.just(datetime(2026, 1, 1, tzinfo=UTC))), max_size=9),
    ),
    (dict[int, Point], st.dictionaries(st.integers(0, 99), st.builds(Point), max_size=9)),
    (tuple[Decimal, ...], st.lists(st.decimals(allow_nan=False, places=2), max_size=9).map(tuple)),
    (tuple[int, str], st.tuples(st.integers(), TEXTS)),
    (
        list[deque[int]],
        st.lists(st.builds(deque, st.lists(st.integers(0, 9)), st.sampled_from([None, 2, 5])), max_size=9),
    ),
    (list[set[int]], st.lists(st.sets(st.integers(0, 9), max_size=3), max_size=9)),
    (list[Raises], st.lists(st.builds(Raises, x=st.integers(0, 3)), max_size=9)),
    (list[int], st.lists(st.integers(0, 9) | st.just("not one") | st.just(2**70), max_size=9)),
    (
        dict[Annotated[str, PlainSerializer(folded)], tuple[int, ...]],
        st.dictionaries(st.sampled_from("abcABC"), st.just((1,)), max_size=6),
    ),
    (Annotated[list[Point], AfterValidator(lambda points: points[:5])], st.lists(st.builds(Point), max_size=9)),
]


@pytest.mark.parametrize(("annotation", "values"), TYPED, ids=[str(annotation)[:40] for annotation, _ in TYPED])
def test_what_an_annotation_restores_is_the_same_in_pieces(annotation: Any, values: st.SearchStrategy[Any]) -> None:
    """JSON, hints, and whether it can be restored: of models, times, bounds, keys, and of what does not fit."""

    @settings(deadline=None, max_examples=50)
    @given(value=values)
    def check(value: Any) -> None:
        assert in_steps(value, annotation) == whole(value, annotation)

    check()


def test_a_value_inside_of_itself_ends() -> None:
    """It is no plain JSON, and is shown."""
    for make in (lambda: [*range(20)], lambda: {str(i): i for i in range(20)}):
        value: Any = make()
        value.append(value) if isinstance(value, list) else value.update({"self": value})
        assert in_steps(value) == whole(value)


@pytest.mark.parametrize("levels", [198, 199, 200, 201])
def test_as_deep_as_ever(levels: int) -> None:
    """The levels are counted from the top, and not from where it was cut."""
    value: Any = [*range(20)]
    for _ in range(levels - 1):
        value = [*range(20), value]
    assert in_steps(value) == whole(value)
    assert in_steps(value).recoverable is (levels <= 200)


def test_a_dict_that_is_changed_meanwhile_is_shown() -> None:
    """A thread that a body has left behind adds to its output: the task completes, with what is there."""
    value = {str(i): [i] * 20 for i in range(50)}
    steps = encode_in_pieces(value, None, Any)
    next(steps)
    next(steps)
    value["late"] = []
    assert finish(steps) == Encoded(whole(value).json, recoverable=False)


def work_of(make: Callable[[], Iterator[bytes]]) -> tuple[int, int]:
    """How many pieces there are, and the bytes of the longest."""
    sizes = [len(piece) for piece in make()]
    return len(sizes), max(sizes)


@pytest.mark.parametrize(
    "make",
    [
        lambda count: [*range(1_000_000_000, 1_000_000_000 + count)],
        lambda count: {"rows": [{"id": i, "name": "some name"} for i in range(count // 4)]},
        lambda count: [[[10_000 + i] * 100] for i in range(count // 100)],
        lambda count: "x" * count * 10,
        lambda count: {"text": "x" * count * 10},
    ],
    ids=["numbers", "rows", "nested", "text", "member"],
)
def test_no_piece_grows_with_the_value(make: Callable[[int], Any]) -> None:
    """Ten times as large, it has more pieces, and the longest is as long as before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_pieces, "_MOST", 2_000)
        patch.setattr(in_pieces, "_MEMBERS", 500)
        patch.setattr(in_pieces, "_CHARS", 5_000)
        few, some = work_of(lambda: plain_pieces(make(10_000)))
        many, most = work_of(lambda: plain_pieces(make(100_000)))
    assert many > 5 * few
    assert most <= 1.2 * some


@settings(deadline=None, max_examples=50)
@given(given=st.dictionaries(st.sampled_from("abcdef"), PLAIN, min_size=1, max_size=3), times=st.integers(1, 300))
def test_the_beginning_of_large_arguments_is_that_of_all(given: dict[str, Any], times: int) -> None:
    """``task.started`` shows the same as if all of them had been decoded for it."""
    encoded = {name: whole([value] * times).json for name, value in given.items()}
    bound = drafts.json_object(encoded)
    said = drafts.started("loop", 1, 1, encoded)
    if len(bound) > 4_096:
        assert orjson.loads(said)["input_preview"] == preview(bound.decode())
    else:
        assert said.endswith(b',"input":%b}' % bound)
