"""JSON of the JavaScript client: whole numbers are exact, and everything else is as in ``JSON``."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.helpers.canonical import as_text
from tests.helpers.node import node_script

SAFE = 2**53 - 1
LIKE_THE_MARK = [
    "\u0001", "1\u0001", "12345678901234567890\u0001", "12345678901234567890\u0001\u0001", '"1\u0001',
    '\\"9007199254740993\u0001',
    '","9007199254740993\u0001', "\\u0001", "12345678901234567890\\u0001", "\\", '"', "\\\\", " : ", "1:", '":1',
    "-9007199254740993\u0001", "x\u0001", "12345678901234567890", '{"a":12345678901234567890}',
]  # fmt: skip


def read(texts: Sequence[str]) -> list[dict[str, Any]]:
    """What the client makes of each text."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run(node_script("json.mjs"), input=lines, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.split("\n") if line]


NUMBERS = (
    st.integers()
    | st.integers(SAFE - 3, SAFE + 3)
    | st.integers(-SAFE - 3, -SAFE + 3)
    | st.integers(10**15, 10**17)
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
)
TEXTS = st.sampled_from(LIKE_THE_MARK) | st.text(st.sampled_from('\u0001"\\19u0:,é😀\u2028 -.')) | st.text()
VALUES = st.recursive(
    NUMBERS | TEXTS | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def values(count: int) -> list[Any]:
    """Any JSON, with numbers and text at the limits."""
    found: list[Any] = []

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(VALUES)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def test_any_json_is_what_python_reads() -> None:
    """Whole numbers of any length, in texts with spaces, escapes and without; text that looks like the client's own."""
    chance = random.Random(1)
    found = [*values(300), *LIKE_THE_MARK, *[{text: text} for text in LIKE_THE_MARK], [2**60, *LIKE_THE_MARK]]
    found += [{text: 2**64, "large": [10**30, text]} for text in LIKE_THE_MARK]
    texts = [
        json.dumps(value, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, None, 1, 0]))
        for value in found
    ]
    for value, text, answer in zip(found, texts, read(texts), strict=True):
        assert answer["same"], text
        assert as_text(answer["text"]) == as_text(value), text


def test_only_what_a_number_cannot_hold_is_a_bigint() -> None:
    """Whole numbers up to 2^53 - 1 and numbers with a point or an exponent stay numbers."""
    numbers = {
        f"{SAFE}": "number", f"-{SAFE}": "number", f"{SAFE + 1}": "bigint", f"-{SAFE + 1}": "bigint",
        "9007199254740993": "bigint", "1234567890123456": "number", "12345678901234567.5": "number",
        "12345678901234567890e2": "number", "0.12345678901234567890": "number", "1e25": "number", "0": "number",
        " 12345678901234567890\n": "bigint",
    }  # fmt: skip
    assert [answer["type"] for answer in read(list(numbers))] == list(numbers.values())


def test_what_is_no_json_stays_none() -> None:
    """No integer becomes JSON because it was marked."""
    large = "12345678901234567890"
    refused = [
        f"0{large}", f"-0{large}", f"+{large}", f"--{large}", f".{large}", f"{large}.", f"{large}e", f"{{{large}:1}}",
        f"{{{large} : 1}}", f"{large} {large}", f'"{large}', f"[{large},]", f'"a"{large}', f"{large}\\u0001",
        f'"\\x" {large}', f"'{large}'", f'{large}"', f"[{large}", f"1-{large}", f'"a\nb{large}"',
    ]  # fmt: skip
    assert read(refused) == [{"error": "SyntaxError"}] * len(refused)


def test_a_long_text_is_read_and_written() -> None:
    """Millions of characters, escapes and digits in one string take time in proportion, and no stack."""
    longs = ["\\" * 1_000_000, '"\n' * 500_000, "7" * 2_000_000, "1 : " * 500_000, "\u0001" * 200_000]
    found = [[2**60, long, {long: 2**70}] for long in longs]
    for value, answer in zip(found, read([json.dumps(value) for value in found]), strict=True):
        assert answer["same"]
        assert answer["text"] == value
