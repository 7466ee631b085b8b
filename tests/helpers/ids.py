"""Names of test cases that are the same in every process."""

from __future__ import annotations

import re
from typing import Any, cast


def repr_without_address(value: Any) -> str:
    """``repr``, less what differs between processes that share the tests: where it stands, the order of a set."""
    if isinstance(value, (set, frozenset)):
        members = ", ".join(sorted([repr_without_address(member) for member in cast("set[Any]", value)]))
        return f"{type(value).__name__}({members})"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
