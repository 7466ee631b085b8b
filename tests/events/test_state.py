"""Copies of states."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from reactor.events.state import TaskState

CHANGEABLE = [field.name for field in fields(TaskState) if str(field.type).startswith(("list", "dict"))]


@pytest.mark.parametrize("name", CHANGEABLE)
def test_a_copy_of_a_task_shares_nothing_that_a_fold_changes(name: str) -> None:
    """Every list and dict of it is its own, at any depth."""
    inner: list[Any] = ["x"]
    value: Any = {"a": inner} if str(TaskState.__annotations__[name]).startswith("dict") else [inner]
    task = TaskState("t", "t", **{name: value})
    copied = task.copy()
    assert copied == task
    inner.append("y")
    assert copied != task
    (value.popitem if isinstance(value, dict) else value.pop)()
    assert getattr(copied, name)
