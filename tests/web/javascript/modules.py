"""Which modules of the JavaScript client need which others."""

from __future__ import annotations

import re

from tests.web.javascript.types import FOLDER


def loaded(name: str) -> set[str]:
    """The modules that a page loads with this one."""
    found, left = {name}, [name]
    while left:
        text = (FOLDER / left.pop()).read_text()
        for other in re.findall(r'^(?:import|export) [^;]*?from "\./([a-z_]+\.js)";', text, re.M):
            if other not in found:
                found.add(other)
                left.append(other)
    return found
