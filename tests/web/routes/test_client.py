"""``GET /client/{file}``: the modules of the JavaScript client, as a browser of any site asks for them."""

from __future__ import annotations

import gzip
import re
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpClient
from yarl import URL

import reactor_web
from reactor import Engine
from reactor_web.routes.client import FOLDER, SERVED, client_files, read_files
from tests.helpers.chromium import browser_script
from tests.helpers.server import API, Server
from tests.web.javascript.modules import loaded

HERE = Path(reactor_web.__file__).parent / FOLDER
MODULES = sorted(path.name for path in HERE.iterdir() if path.name.endswith(SERVED))
ENTRY = "reactor.js"
BARE = re.compile(r'^(?:import|export)[^;]* from "[^."]', re.MULTILINE)
"""An import of a package by its name, which a page cannot load."""


async def ask(
    server: Server | str, name: str, method: str = "GET", **headers: str
) -> tuple[int, Mapping[str, str], bytes]:
    """(status, headers, body as it came)."""
    url = URL(f"{server if isinstance(server, str) else server.url}/client/{name}", encoded=True)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        headers = {"Accept-Encoding": "identity", **headers}
        async with session.request(method, url, headers=headers) as response:
            return response.status, response.headers, await response.read()


async def url_of(aiohttp_client: AiohttpClient, app: web.Application) -> str:
    return str((await aiohttp_client(app)).make_url(API))


def lines_of(body: bytes) -> list[str]:
    return body.decode().split("\n")


def without_comments(path: Path) -> list[str]:
    """The lines of a module that are no part of a comment, and all lines of any other file."""
    kept, is_within = [], False
    for line in path.read_text().split("\n"):
        text = line.strip() if path.suffix == ".js" else ""
        begins = text.startswith("/**") and ("*/" not in text or text.endswith("*/"))
        if not is_within and not begins and not text.startswith("//"):
            kept.append(line)
        is_within = (is_within or begins) and not text.endswith("*/")
    return kept


async def test_every_module_is_served_as_it_stands_in_the_package(server: Server) -> None:
    """As JavaScript that a browser takes for a module or for the script of a worker, and nothing else of the folder."""
    assert ENTRY in MODULES
    for path in HERE.iterdir():
        status, headers, body = await ask(server, path.name)
        assert (status, path.name) == (200 if path.name in MODULES else 404, path.name)
        if status == 200:
            assert lines_of(body) == without_comments(path), path.name
            wanted = {
                "Content-Type": "text/javascript; charset=utf-8",
                "Content-Length": str(len(body)),
                "Cache-Control": "no-cache",
                "X-Content-Type-Options": "nosniff",
                "Access-Control-Allow-Origin": "*",
                "Cross-Origin-Resource-Policy": "cross-origin",
                "Vary": "Accept-Encoding",
            }
            assert {name: headers[name] for name in wanted} == wanted
            assert "Content-Security-Policy" not in headers


async def test_what_a_client_has_is_not_sent_again(server: Server) -> None:
    """By a strong ETag, alone, in a list, weak as a proxy makes it, or ``*``; anything else is answered in full."""
    _, headers, body = await ask(server, ENTRY)
    tag = headers["ETag"]
    assert tag.startswith('"')
    for known in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        for method in ("GET", "HEAD"):
            status, again, rest = await ask(server, ENTRY, method, **{"If-None-Match": known})
            assert (status, again["ETag"], again["Cache-Control"], rest) == (304, tag, "no-cache", b"")
    for other in ('"x"', "", tag.strip('"'), 'W/"x", oops'):
        assert (await ask(server, ENTRY, **{"If-None-Match": other}))[::2] == (200, body)


async def test_the_bytes_are_compressed_for_who_names_gzip(server: Server) -> None:
    """They are other bytes and have an ETag of their own."""
    _, plain, body = await ask(server, ENTRY)
    status, headers, packed = await ask(server, ENTRY, **{"Accept-Encoding": "br, gzip"})
    assert (status, headers["Content-Encoding"], gzip.decompress(packed)) == (200, "gzip", body)
    assert headers["ETag"] != plain["ETag"]
    for tag, accepted, wanted in (
        (headers["ETag"], "gzip", 304),
        (headers["ETag"], "identity", 200),
        (plain["ETag"], "gzip", 200),
        (plain["ETag"], "gzip;q=0", 304),
    ):
        assert (await ask(server, ENTRY, **{"Accept-Encoding": accepted, "If-None-Match": tag}))[0] == wanted


@pytest.mark.parametrize(
    "name",
    ["package.json", "README.md", "REACTOR.JS", "reactor", "..%2Fapp.py", "%2e%2e%2fapp.py", "..%5Capp.py",
     "%2Fetc%2Fpasswd", "reactor.js%00", "reactor.js%2F", "%20reactor.js", ".js", "constructor"],
)  # fmt: skip
async def test_no_other_file_can_be_asked_for(server: Server, name: str) -> None:
    """404 with the names there are: no path of a request is ever opened."""
    status, headers, body = await ask(server, name)
    assert (status, headers["Content-Type"].partition(";")[0]) == (404, "application/problem+json")
    assert b"the client has no file" in body
    assert ENTRY.encode() in body


async def test_a_client_that_takes_no_javascript_is_told(server: Server) -> None:
    """406; every browser takes it."""
    status, _, body = await ask(server, ENTRY, Accept="application/json")
    assert (status, b"text/javascript" in body) == (406, True)
    assert (await ask(server, ENTRY, Accept="*/*"))[0] == 200


@pytest.mark.parametrize(("origin", "seen"), [("https://app.example", "https://app.example"), ("https://b.test", "*")])
async def test_pages_of_every_site_may_load_it(aiohttp_client: AiohttpClient, origin: str, seen: str) -> None:
    """Also of those that ``cors`` does not name; for one that it does, the answer is as everywhere."""
    url = await url_of(aiohttp_client, reactor_web.create_app(Engine(grace=0.0), cors=["https://app.example"]))
    status, headers, _ = await ask(url, ENTRY, Origin=origin)
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, seen)
    assert "Access-Control-Allow-Credentials" not in headers
    assert headers["Vary"] == "Accept-Encoding, Origin"


async def test_a_host_that_compresses_everything_changes_no_byte(aiohttp_client: AiohttpClient) -> None:
    """Else the ETag would be of other bytes than those that were sent."""

    @web.middleware
    async def compress(request: web.Request, handler: Callable[[web.Request], Awaitable[web.Response]]) -> web.Response:
        response = await handler(request)
        response.enable_compression()
        return response

    app = web.Application(middlewares=[compress])
    reactor_web.mount(app, Engine(grace=0.0))
    url = await url_of(aiohttp_client, app)
    _, headers, body = await ask(url, ENTRY, **{"Accept-Encoding": "gzip"})
    assert lines_of(gzip.decompress(body)) == without_comments(HERE / ENTRY)
    assert (await ask(url, ENTRY, **{"Accept-Encoding": "gzip", "If-None-Match": headers["ETag"]}))[0] == 304


@pytest.mark.slow
async def test_a_browser_loads_every_module_also_as_a_page_of_another_site_and_in_workers(
    server: Server, aiohttp_client: AiohttpClient
) -> None:
    """Chromium takes them for modules; the hooks and ``react.js``, which has them all, are for bundlers."""

    async def another_site(request: web.Request) -> web.Response:
        return web.Response(text="<title>another site</title>", content_type="text/html")

    elsewhere = web.Application()
    elsewhere.router.add_get("/", another_site)
    site = str((await aiohttp_client(elsewhere)).make_url("/"))
    modules = [name for name in MODULES if name.endswith(".js")]
    bare = {name for name in modules if BARE.search((HERE / name).read_text())}
    names = [name for name in modules if not loaded(name) & bare]
    assert ENTRY in names
    async with browser_script("client_files.mjs", server.url, site, *names) as browser:
        exported = await browser.next()
        in_worker, in_shared_worker = await browser.next()
    assert len(exported) == len(names)
    assert {"follow", "Reactor", "ReactorError"} <= set(in_worker)
    assert in_shared_worker == in_worker


def test_a_package_in_a_zip_has_the_same_files(tmp_path: Path) -> None:
    """Folders, and what is no module, are left out; a package without the folder has none."""
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        for path in HERE.iterdir():
            packed.write(path, f"{FOLDER}/{path.name}")
        packed.writestr(f"{FOLDER}/folder.js/inside.js", "")
        packed.writestr(f"{FOLDER}/secret.py", "")
    assert read_files(zipfile.Path(tmp_path / "packed.zip", f"{FOLDER}/")) == client_files()
    assert list(client_files()) == MODULES
    assert read_files(tmp_path / "missing") == {}
