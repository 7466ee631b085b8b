"""Tools for plans: figures about a folder of text. They only read files below the current directory.

reactor run   examples/plan.json --tools examples/tools.py
reactor graph examples/plan.json --tools examples/tools.py
"""

import asyncio
import re
from collections import Counter
from pathlib import Path
from typing import Any

from reactor import Context, tool

WORD = re.compile(r"[A-Za-z][a-z']+")


def inside(path: str) -> Path:
    """A path below the current directory; ValueError for any other, because a plan may come from a stranger."""
    here, found = Path.cwd(), Path(path).resolve()
    if not found.is_relative_to(here):
        raise ValueError(f"{path[:200]!r} is not below {here}")
    return found


@tool(name="files.list")
def list_files(folder: str, suffix: str = ".md", limit: int = 100) -> dict[str, Any]:
    """The files in a folder with a suffix: `{folder, count, files}`, with paths relative to the current directory."""
    found = sorted(path for path in inside(folder).rglob(f"*{suffix}") if path.is_file())[:limit]
    return {"folder": folder, "count": len(found), "files": [str(path.relative_to(Path.cwd())) for path in found]}


@tool(name="text.measure")
def measure(files: list[str], ctx: Context) -> list[dict[str, Any]]:
    """`{file, lines, words, bytes}` of each file."""
    rows: list[dict[str, Any]] = []
    for number, file in enumerate(files, 1):
        text = inside(file).read_text(errors="replace")
        rows.append({"file": file, "lines": text.count("\n"), "words": len(text.split()), "bytes": len(text.encode())})
        ctx.progress(number / len(files), file)
    return rows


@tool(name="text.words")
def words(files: list[str], top: int = 10, min_length: int = 5) -> list[dict[str, Any]]:
    """The most frequent words in all files together, as `{word, count}`."""
    counts: Counter[str] = Counter()
    for file in files:
        found = WORD.findall(inside(file).read_text(errors="replace"))
        counts.update(word.lower() for word in found if len(word) >= min_length)
    return [{"word": word, "count": count} for word, count in counts.most_common(top)]


@tool(name="rows.largest")
async def largest(rows: list[dict[str, Any]], by: str, limit: int = 3) -> list[dict[str, Any]]:
    """The rows with the largest number under `by`."""
    await asyncio.sleep(0)
    return sorted(rows, key=lambda row: row[by], reverse=True)[:limit]


@tool
async def report(title: str, facts: dict[str, Any]) -> str:
    """A title and a line for each fact."""
    return "\n".join((title, *(f"- {name}: {value}" for name, value in facts.items())))
