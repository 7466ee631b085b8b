"""Where the project is, and what its documents show."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def block_of(document: str, language: str) -> str:
    """The one block of code in this language of a document."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    return code


PYTHONPATH = f"{ROOT}:{ROOT / 'web'}"
"""For processes that tests start: both packages are those of these files, wherever others are installed."""
