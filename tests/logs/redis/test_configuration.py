"""What is wrong with a Redis, or with a URL, is said in one sentence before anything starts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reactor import Engine
from reactor.errors import LogUnavailable
from reactor.logs.redis.server import check_info
from reactor.logs.redis.url import open_redis
from reactor.logs.schemes import open_log
from tests.helpers.nginx import free_port
from tests.helpers.redis import RedisServer, redis_server
from tests.helpers.tls import certificate as certificate


async def refusal(url: str) -> str:
    """Why an engine does not start on this log."""
    with pytest.raises(LogUnavailable) as caught:
        async with Engine(url):
            raise AssertionError("it has started")
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_no_redis_is_there() -> None:
    """The error names the place, and not the password."""
    port = free_port()
    said = await refusal(f"redis://ada:secret@127.0.0.1:{port}/0")
    assert said.startswith(f"redis://127.0.0.1:{port}/0 does not answer: ")
    assert "secret" not in said
    assert "does not answer" in await refusal("unix:///tmp/nobody/is/here.sock")


async def test_the_password_is_asked_for(tmp_path: Path) -> None:
    """A wrong one, none, and the right one; and a user who may not call functions."""
    reader = ("--user", "ada", "on", ">pw", "~*", "&*", "+@read", "+info", "+ping")
    with redis_server(tmp_path, "--requirepass", "right", *reader) as server:
        at = f"127.0.0.1:{server.port}/0"
        for given in ("", ":wrong@", "nobody:right@"):
            assert "does not take this user and password" in await refusal(f"redis://{given}{at}")
        assert "does not let this user do what a log needs" in await refusal(f"redis://ada:pw@{at}")
        async with Engine(f"redis://:right@{at}"):
            pass


REFUSED: dict[str, tuple[list[str], str]] = {
    "replica": (["--replicaof", "127.0.0.1", "1"], "is a read-only replica of 127.0.0.1:1: write the URL of that one"),
    "evicts": (["--maxmemory-policy", "allkeys-lru"], "may evict events when its memory is full (maxmemory-policy"),
    "full": (["--maxmemory", "100kb"], "has no room: it uses "),
    "cluster": (["--cluster-enabled", "yes"], "is a Redis Cluster, where the keys of a log would be on several nodes"),
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_a_redis_that_cannot_keep_a_log(kind: str, tmp_path: Path) -> None:
    """Read-only, evicting, full, or cut into slots."""
    options, sentence = REFUSED[kind]
    with redis_server(tmp_path, *options) as server:
        assert sentence in await refusal(server.url())


async def test_a_sentinel_is_not_a_log(tmp_path: Path) -> None:
    """It answers like a Redis, and keeps nothing."""
    (tmp_path / "sentinel.conf").write_text("")
    with redis_server(tmp_path) as master:
        sentinel = RedisServer(tmp_path)
        command = ["redis-server", str(tmp_path / "sentinel.conf"), "--sentinel", "--port", str(sentinel.port)]
        process = subprocess.Popen([*command, "--unixsocket", sentinel.path], stdout=subprocess.DEVNULL)  # noqa: ASYNC220
        try:
            sentinel.process = process  # type: ignore[assignment]
            while not sentinel.answers():
                assert process.poll() is None
            assert "is a Sentinel, which keeps no data" in await refusal(f"redis://127.0.0.1:{sentinel.port}/0")
        finally:
            sentinel.stop()
        assert master.answers()


def test_an_old_redis() -> None:
    """Functions are there since 7.0. (Debian has no older one to try it on.)"""
    for version in ("6.2.14", "5.0", "x"):
        with pytest.raises(LogUnavailable, match=f"r://h is Redis {version}, and a log needs 7.0 or newer"):
            check_info("r://h", {"redis_version": version})
    check_info("r://h", {"redis_version": "7.0.0"})
    check_info("r://h", {"redis_version": "10.1"})


WRONG_URLS = {
    "redis://h/0?prefix=a:b": "prefix='a:b' of a Redis URL must be 1 to 64 of A-Z",
    "redis://h/0?color=red": "there is no option 'color'; there are prefix, lease, keep_days, keep_runs, db",
    "redis://h/0?keep_runs=few": "keep_runs of a Redis URL must be a whole number from 0, not 'few'",
    "redis://h/0?ssl_ca_certs=x": "there is no option 'ssl_ca_certs'",
    "redis://h/x": "the database of a Redis URL must be a whole number from 0, not 'x'",
    "redis://h:port/0": "'h:port' is not a host and a port",
    "redis://a:1,b:2/0": "a Redis URL must name one host",
    "redis://h/0?lease=soon": "lease must be 1 to 3600 seconds, not 'soon'",
    "unix://redis.sock": "a unix: URL must name a socket",
    "redis+cluster://h/0": "a log cannot be kept in a Redis Cluster",
    "rediss+cluster://h/0": "a log cannot be kept in a Redis Cluster",
    "redis+sentinel://h/0": "a log is not found through Sentinels",
    "redis-sentinel://h/0": "a log is not found through Sentinels",
}


@pytest.mark.parametrize("url", WRONG_URLS)
def test_a_wrong_url(url: str) -> None:
    """It is refused where an engine is made; the password is in no error."""
    with pytest.raises(ValueError) as caught:
        Engine(url.replace("//h", "//ada:secret@h"))
    assert WRONG_URLS[url] in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_a_url_says() -> None:
    """Host, port, database, user, socket and options are found where Redis clients write them."""
    log = open_redis("rediss://ada:p%40ss@[::1]:7000/3?prefix=x&lease=2.5&ssl_ca_certs=/ca.pem")
    assert log.address.place == "rediss://[::1]:7000/3"
    assert dict(log.address.options) == {
        "username": "ada", "password": "p@ss", "host": "::1", "port": 7000, "db": 3, "ssl_ca_certs": "/ca.pem",
    }  # fmt: skip
    assert log.prefix == "x"
    assert open_redis("unix:///run/r.sock?db=2").address.options == {"path": "/run/r.sock", "db": 2}
    assert open_redis("redis://").address.place == "redis://localhost:6379/0"


def test_without_the_extra_the_sentence_says_what_to_install() -> None:
    """A program that has no redis-py can use the other logs, and is told what this one needs."""
    program = """
import sys
sys.modules["redis"] = None
from reactor.logs.schemes import open_log
open_log("memory://")
try:
    open_log("redis://h/0")
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "a log in Redis needs redis: pip install 'reactor-dag[redis]'\n"


@pytest.mark.parametrize("call", [lambda log: log.probe(), lambda log: log.read("r", 0, 1)])
async def test_a_log_that_is_not_open_says_so(call: Callable[..., object], server: RedisServer) -> None:
    """Before ``open``, and after ``close``."""
    log = open_log(server.url())
    with pytest.raises(LogUnavailable, match="is not open"):
        await call(log)  # type: ignore[misc]
    await log.open()
    await log.close()
    with pytest.raises(LogUnavailable, match="is closed"):
        await call(log)  # type: ignore[misc]


async def test_tls(certificate: Path, tmp_path: Path) -> None:
    """``rediss://`` with the certificate of the server; without it the connection is refused with a sentence."""
    port = free_port()
    files = ("--tls-cert-file", certificate / "cert.pem", "--tls-key-file", certificate / "key.pem")
    options = ("--tls-port", port, *files, "--tls-auth-clients", "no")
    with redis_server(tmp_path, *map(str, options)) as server:
        at = f"rediss://localhost:{port}/0?prefix={server.prefix()}"
        async with Engine(f"{at}&ssl_ca_certs={certificate}/cert.pem"):
            pass
        assert "does not answer" in await refusal(at)
