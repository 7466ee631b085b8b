"""JSON Patch (RFC 6902): the same as the implementation of ag-ui-validate, whatever the value and the patch."""

from __future__ import annotations

from typing import Any

import pytest
from ag_ui_validate import PatchOk, apply_patch
from hypothesis import given
from hypothesis import strategies as st

from reactor_web.dialects.ag_ui.patch import PatchError, apply, pointer

KEYS = st.sampled_from(["a", "b", "a/b", "m~n", "0", "1", "-", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["x", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
PATHS = st.lists(KEYS | st.sampled_from(["2", "00"]), max_size=3).map(lambda names: pointer(*names))
OPERATIONS = st.one_of(
    st.fixed_dictionaries({"op": st.sampled_from(["add", "replace", "test"]), "path": PATHS, "value": VALUES}),
    st.fixed_dictionaries({"op": st.just("remove"), "path": PATHS}),
    st.fixed_dictionaries({"op": st.sampled_from(["move", "copy"]), "path": PATHS, "from": PATHS}),
)


@given(VALUES, st.lists(OPERATIONS, max_size=4))
def test_it_does_what_the_other_implementation_does(value: Any, patch: list[dict[str, Any]]) -> None:
    """The same value, or an error in both; the given value stays as it is."""
    before = repr(value)
    theirs = apply_patch(value, patch)
    try:
        ours = apply(value, patch)
    except PatchError:
        assert not isinstance(theirs, PatchOk) or any(one == {"op": "remove", "path": ""} for one in patch)
    else:
        assert isinstance(theirs, PatchOk), theirs
        assert repr(ours) == repr(theirs.result)
    assert repr(value) == before


@pytest.mark.parametrize(
    "operation",
    [
        None, {}, {"op": "add", "path": "/a"}, {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/~2", "value": 1}, {"op": "jump", "path": ""}, {"op": "copy", "path": "/a"},
        {"op": "test", "path": "", "value": {"n": True}}, {"op": "move", "from": "/n", "path": "/n/x"},
    ],
)  # fmt: skip
def test_what_is_no_patch_is_refused(operation: Any) -> None:
    """With a sentence, and nothing changes."""
    with pytest.raises(PatchError):
        apply({"n": 1}, [operation])
