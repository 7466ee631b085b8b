"""Where the project is, and what its documents show."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def block_of(document: str, language: str) -> str:
    """The one block of code in this language of a document."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    return code
