"""What the dashboard consists of: its size, libraries of others, and nothing that makes HTML of data."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from reactor import Engine
from reactor_web import create_app, mount
from reactor_web.dashboard.routes import POLICY
from reactor_web.dashboard.static_files import assets, index
from tests.helpers.paths import ROOT
from tests.web.dashboard.vendor import FOLDER, LIBRARIES, LICENSES, RECORD, entry

STATIC = ROOT / "web/reactor_web/dashboard/static"
MODULES = sorted(path for path in STATIC.rglob("*.js") if path.parent != FOLDER)
MOST_BYTES = 160 * 1024
MODULE_LINES = 350
IMPORTED = re.compile(r'(?:^|;)(?:import|export)[^;"\']*?from *"([^"]+)"|\bimport\("([^"]+)"\)', re.MULTILINE)


def test_the_whole_dashboard_is_small() -> None:
    """With every library, the client and the page: at most 160 KB as it is sent."""
    size = sum(len(asset.file.compressed) for asset in assets().values()) + len(index("api/v1").compressed)
    assert size <= MOST_BYTES, size


def test_the_libraries_are_those_of_the_record() -> None:
    """Each with its version, licence, source, the integrity that npm has published, and its own checksum."""
    record = json.loads(RECORD.read_bytes())
    assert record == [entry(library, (FOLDER / library.file).read_bytes()) for library in LIBRARIES]
    assert {path.name for path in FOLDER.iterdir()} == {one["file"] for one in record} | {RECORD.name, LICENSES.name}
    for one in record:
        assert hashlib.sha256((FOLDER / one["file"]).read_bytes()).hexdigest() == one["sha256"]
        assert one["integrity"].startswith("sha512-")
        assert f"{one['package']} {one['version']}\n" in LICENSES.read_text()


def test_modules_import_files_that_are_served_and_nothing_else() -> None:
    """By their place, as a page does without an import map, which its policy forbids."""
    for name, asset in assets().items():
        if asset.media_type != "text/javascript":
            continue
        for found in IMPORTED.findall(asset.file.body.decode()):
            imported = "".join(found)
            assert imported.startswith("."), (name, imported)
            parts = name.split("/")[:-1]
            for part in imported.split("/"):
                if part == "..":
                    parts.pop()
                elif part != ".":
                    parts.append(part)
            assert "/".join(parts) in assets(), (name, imported)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_module_makes_code_or_html_of_text(path: object) -> None:
    """No innerHTML and its kin, no eval, no style or handler as text."""
    text = (STATIC / str(path)).read_text()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|dangerouslySet|srcdoc|style=\"",
        text,
    )
    assert len(text.splitlines()) <= MODULE_LINES


async def _ask(url: str, **headers: str) -> tuple[int, Mapping[str, str], bytes]:
    headers = {"Accept-Encoding": "identity", **headers}
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(url, headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status, answer.headers, await answer.read()


async def test_the_page_and_its_files_are_served_with_a_strict_policy() -> None:
    """No inline script, nothing from elsewhere, in no frame; compressed; and 304 for who has it."""
    async with TestServer(create_app(Engine("memory://"), dashboard=True), host="127.0.0.1") as server:
        base = str(server.make_url("/"))
        for name in ["", *(f"assets/{name}" for name in assets())]:
            status, headers, body = await _ask(base + name, **{"Accept-Encoding": "gzip"})
            assert (status, headers["Content-Encoding"]) == (200, "gzip"), name
            assert headers["Content-Security-Policy"] == POLICY
            assert headers["X-Content-Type-Options"] == "nosniff"
            again = await _ask(base + name, **{"Accept-Encoding": "gzip", "If-None-Match": headers["ETag"]})
            assert (again[0], again[2]) == (304, b""), name
        status, _, body = await _ask(base)
        assert not re.search(rb"<script(?![^>]*src=)|<style| on\w+=", body)
        assert (await _ask(f"{base}assets/nothing.js"))[0] == 404
        assert (await _ask(f"{base}assets/..%2f..%2froutes.py"))[0] == 404


async def test_it_stands_where_mount_is_told() -> None:
    """At a prefix, beside pages of the host; without the slash one is sent there; not at all without ``dashboard=``."""
    app = web.Application()

    async def own(_: web.Request) -> web.Response:
        return web.Response(text="own page")

    app.router.add_get("/", own)
    mount(app, Engine("memory://"), prefix="/jobs/api", dashboard="/jobs/ops")
    async with TestServer(app, host="127.0.0.1") as server:
        base = str(server.make_url("")).rstrip("/")
        status, _, body = await _ask(f"{base}/jobs/ops/")
        assert (status, b'content="../api"' in body) == (200, True)
        status, headers, _ = await _ask(f"{base}/jobs/ops?x=1")
        assert (status, headers["Location"]) == (308, "ops/?x=1")
        assert (await _ask(f"{base}/jobs/ops/assets/app.js"))[0] == 200
        assert (await _ask(f"{base}/"))[2] == b"own page"
    async with TestServer(create_app(Engine("memory://")), host="127.0.0.1") as server:
        assert (await _ask(str(server.make_url("/"))))[0] == 404


def test_a_bad_place_is_refused() -> None:
    """One sentence that says what and where."""

    async def own(_: web.Request) -> web.Response:
        return web.Response()

    for bad in ("ops", "/ops/", "/{x}"):
        with pytest.raises(ValueError, match="is not a prefix"):
            create_app(Engine("memory://"), dashboard=bad)
    with pytest.raises(TypeError, match="must be True or a prefix"):
        create_app(Engine("memory://"), dashboard=1)  # type: ignore[arg-type]  # a mistake of a user
    app = web.Application()
    app.router.add_get("/", own)
    with pytest.raises(ValueError, match="already"):
        mount(app, Engine("memory://"), dashboard=True)
