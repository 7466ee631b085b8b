"""Names: what a name of each kind may look like, in words; the id of a mapped child; the hint for a misspelt name.

The patterns themselves stand in ``bounds``.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from typing import Final

WORKFLOW_NAME_RULE: Final = "1 to 64 of A-Z a-z 0-9 . _ ~ -, beginning with none of . ~ -"
TASK_NAME_RULE: Final = "one of A-Z a-z _, then up to 63 of A-Z a-z 0-9 . _ ~ -"
PLAN_TASK_ID_RULE: Final = "one of A-Z a-z _, then up to 63 of A-Z a-z 0-9 _ ~ -"
TOOL_NAME_RULE: Final = "one of A-Z a-z _, then up to 63 of A-Z a-z 0-9 _ . -"

_COMPARED_CHARS: Final = 64
_COMPARED_NAMES: Final = 100


def child_task_id(task: str, index: int) -> str:
    """``measure[3]``: the id of one child of a mapped task; ``index`` counts from 0."""
    return f"{task}[{index}]"


def did_you_mean(name: str, known: Iterable[str], *, most: int = _COMPARED_NAMES) -> str:
    """``, did you mean 'fetch'?``, or an empty string where no known name is close.

    The comparison is slow and strangers may choose the names, so only the first ``most`` names are compared.
    """
    close = get_close_matches(name[:_COMPARED_CHARS], islice(known, most), n=1)
    return f", did you mean {close[0]!r}?" if close else ""
