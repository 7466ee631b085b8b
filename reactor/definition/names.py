"""Names: what a name of each kind may look like, in words, and the hint for a name that is misspelt.

The patterns themselves stand in ``bounds``.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from typing import Final

WORKFLOW_NAME_RULE: Final = "1 to 64 letters, digits and . _ ~ -"
TASK_NAME_RULE: Final = "a letter or _, then up to 63 letters, digits, . _ ~ -"
PLAN_TASK_ID_RULE: Final = "a letter or _, then up to 63 letters, digits, _ ~ -"
TOOL_NAME_RULE: Final = "a letter or _, then up to 63 letters, digits, _ . -"

_COMPARED_CHARS: Final = 64
_COMPARED_NAMES: Final = 100


def did_you_mean(name: str, known: Iterable[str], *, most: int = _COMPARED_NAMES) -> str:
    """``, did you mean 'fetch'?``, or an empty string where no known name is close.

    The comparison is slow and strangers may choose the names, so only the first ``most`` names are compared.
    """
    close = get_close_matches(name[:_COMPARED_CHARS], islice(known, most), n=1)
    return f", did you mean {close[0]!r}?" if close else ""
