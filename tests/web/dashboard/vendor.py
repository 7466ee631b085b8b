"""Fetches the libraries of the dashboard: ``python -m tests.web.dashboard.vendor``.

Each is one file of a package at npm, of a fixed version, whose archive must have the integrity that npm has published.
What is changed in it is said here; ``vendored.json`` beside the files lists what they are.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import sys
import tarfile
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

from tests.helpers.paths import ROOT

FOLDER: Final = ROOT / "web/reactor_web/dashboard/static/vendor"
RECORD: Final = FOLDER / "vendored.json"
LICENSES: Final = FOLDER / "LICENSES.txt"


@dataclass(frozen=True)
class Library:
    """One file of a package."""

    file: str
    """Its name here."""
    package: str
    version: str
    licence: str
    integrity: str
    """Of the archive, as npm has it."""
    path: str
    """In the archive."""
    rewrites: tuple[tuple[str, str], ...] = ()
    """Texts that are replaced: a page loads a module by its place, not by the name of its package."""
    end: str = ""
    """What is added behind it."""

    @property
    def source(self) -> str:
        return f"https://registry.npmjs.org/{self.package}/-/{self.package}-{self.version}.tgz"


PREACT: Final = (
    "preact", "11.2.0", "MIT",
    "sha512-/HfHI/7N84e6GrWBJ3J280z3mLaRJiDcSvj/A+y/4AbLnND/1UlGHe1sR6oYuTGwId0nP7dqDU9OnLxMPZ7xBg==",
)  # fmt: skip
UPLOT: Final = (
    "uplot", "1.6.32", "MIT",
    "sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
)  # fmt: skip

LIBRARIES: Final = (
    Library("preact.js", *PREACT, "package/dist/preact.mjs"),
    Library("hooks.js", *PREACT, "package/hooks/dist/hooks.mjs", (('from"preact"', 'from"./preact.js"'),)),
    Library(
        "htm.js", "htm", "3.1.1", "Apache-2.0",
        "sha512-983Vyg8NwUE7JkZ6NmOqpCZ+sh1bKv2iYTlUkzlWmA5JD2acKoxd4KVxbMmxX/85mtfdnDmTFoNKcg5DGAvxNQ==",
        "package/dist/htm.module.js",
    ),
    Library(
        "d3-dag.js", "d3-dag", "1.2.2", "MIT",
        "sha512-RT4+IEUEthIeIiTb4TUfmrw8o7qINmeRjtvrokmuhfk3KXp8YQX6yZOFUJIq7sHhv5JMpDKR3hHWzYb9q/jUaQ==",
        "package/dist/d3-dag.esm.min.mjs",
    ),
    Library("uplot.js", *UPLOT, "package/dist/uPlot.iife.min.js", end="\nexport default uPlot;\n"),
    Library("uplot.css", *UPLOT, "package/dist/uPlot.min.css"),
)  # fmt: skip


def changed(library: Library, text: str) -> str:
    """The file as it stands here. Raises ValueError where a text that is to be replaced is not there."""
    for old, new in library.rewrites:
        if old not in text:
            raise ValueError(f"{library.file}: there is no {old} in it")
        text = text.replace(old, new)
    return re.sub(r"\n?//# sourceMappingURL=\S+\s*$", "\n", text) + library.end


def entry(library: Library, body: bytes) -> dict[str, Any]:
    """What the record says of a file."""
    changes = [f"{old} -> {new}" for old, new in library.rewrites] + ([library.end.strip()] if library.end else [])
    return {
        "file": library.file, "package": library.package, "version": library.version, "licence": library.licence,
        "source": library.source, "path": library.path, "integrity": library.integrity,
        "changes": changes,
        "sha256": hashlib.sha256(body).hexdigest(),
    }  # fmt: skip


def fetch(source: str, integrity: str) -> tarfile.TarFile:
    """The archive; raises ValueError where it is not what npm has published."""
    with urllib.request.urlopen(source) as answer:
        data: bytes = answer.read()
    found = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if found != integrity:
        raise ValueError(f"{source} has the integrity {found}, not {integrity}")
    return tarfile.open(fileobj=io.BytesIO(data))


def main() -> None:
    record: list[dict[str, Any]] = []
    licences: dict[str, str] = {}
    for library in LIBRARIES:
        archive = fetch(library.source, library.integrity)
        read = archive.extractfile(library.path), archive.extractfile("package/LICENSE")
        assert read[0] is not None, library
        assert read[1] is not None, library
        body = changed(library, read[0].read().decode()).encode()
        (FOLDER / library.file).write_bytes(body)
        record.append(entry(library, body))
        licences[f"{library.package} {library.version}"] = read[1].read().decode().strip()
    RECORD.write_text(json.dumps(record, indent=2) + "\n")
    LICENSES.write_text("\n\n\n".join(f"{name}\n\n{text}" for name, text in licences.items()) + "\n")
    sys.stdout.write(f"wrote {len(record)} files into {FOLDER.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
