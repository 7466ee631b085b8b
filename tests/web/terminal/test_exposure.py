"""``reactor serve`` is safe as it comes, and refuses flags that contradict each other or say nothing."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.helpers.command import end, reactor
from tests.helpers.issuer import AUDIENCE, SECRET, jwk, private_key, token
from tests.helpers.paths import ROOT
from tests.helpers.warm import Started, start_python

FLOW = str(ROOT / "examples/hello.py")
JWT = "REACTOR_JWT_SECRET"
ANYWHERE = ("--host", "0.0.0.0")
AUD = ("--jwt-audience", AUDIENCE)
URL = "https://id.example/jwks.json"

REFUSED: list[tuple[tuple[str, ...], dict[str, str], str]] = [
    # an address that others reach, and nothing that says who may ask
    (ANYWHERE, {}, "--host 0.0.0.0 is reachable from other machines and there is no authentication"),
    (("--host", "::"), {}, "--host :: is reachable"),
    (("--host", ""), {}, "--host '' is reachable"),
    (("--host", "localhost.evil.example"), {}, "--host localhost.evil.example is reachable"),
    ((*ANYWHERE, "--trusted-proxy", "10.0.0.0/8"), {}, "is reachable"),
    ((*ANYWHERE, "--allow-host", "*"), {}, "is reachable"),
    ((*ANYWHERE, "--cors", "https://app.example"), {}, "is reachable"),
    # keys
    (("--keys", "missing.json"), {}, "there is no key file missing.json"),
    (("--keys", ""), {}, "is no file"),
    (("--keys", "open.json"), {}, "open to others than its owner"),
    (("--keys", "broken.json"), {}, "the key file broken.json is broken"),
    ((), {"REACTOR_KEYS": "missing.json"}, "there is no key file missing.json"),
    ((*ANYWHERE, "--keys", "missing.json"), {}, "there is no key file missing.json"),
    (("--keys", "keys.json", "--insecure"), {}, "--insecure lets anybody in, and --keys"),
    (("--insecure",), {"REACTOR_KEYS": "keys.json"}, "--insecure lets anybody in, and --keys"),
    # JWTs
    (("--jwks", URL), {}, "JWTs need --jwt-audience"),
    ((), {JWT: SECRET}, "JWTs need --jwt-audience"),
    (AUD, {}, "--jwt-audience is about JWTs"),
    (("--jwt-issuer", "x"), {}, "--jwt-issuer is about JWTs"),
    (("--jwt-tenant-claim", "org"), {}, "--jwt-tenant-claim is about JWTs"),
    (("--jwt-tenant-claim", "org", "--keys", "keys.json"), {}, "--jwt-tenant-claim is about JWTs"),
    (("--jwks", URL, *AUD), {JWT: SECRET}, f"give --jwks or {JWT}, not both"),
    (("--jwks", "http://id.example/jwks.json", *AUD), {}, "must begin with https://"),
    (("--jwks", "missing.json", *AUD), {}, "the JWKS missing.json cannot be loaded"),
    (("--jwks", "broken.json", *AUD), {}, "the JWKS broken.json cannot be loaded"),
    (("--jwks", "", *AUD), {}, "cannot be loaded"),
    (AUD, {JWT: "short"}, "the JWT key has 5 bytes"),
    (AUD, {JWT: ""}, f"{JWT} is empty"),
    (AUD, {JWT: "\n"}, f"{JWT} is empty"),
    (("--jwt-audience", ""), {JWT: SECRET}, "audience"),
    ((*AUD, "--jwt-issuer", ""), {JWT: SECRET}, "issuer"),
    ((*AUD, "--jwt-tenant-claim", ""), {JWT: SECRET}, "tenant_claim"),
    ((*AUD, "--insecure"), {JWT: SECRET}, f"--insecure lets anybody in, and {JWT}"),
    (("--jwks", URL, *AUD, "--insecure"), {}, "--insecure lets anybody in, and --jwks"),
    # the others
    (("--trusted-proxy", "everybody"), {}, "'everybody' is no network of trusted proxies"),
    (("--trusted-proxy", ""), {}, "is no network of trusted proxies"),
    (("--allow-host", "a.example/b"), {}, "--allow-host: 'a.example/b' is no host name"),
    (("--allow-host", ""), {}, "--allow-host: '' is no host name"),
    (("--cors", "*"), {}, "--cors: '*' is no origin"),
    (("--cors", "null"), {}, "--cors: 'null' is no origin"),
    (("--cors", "app.example"), {}, "--cors: 'app.example' is no origin"),
    (("--max-stream-age", "inf"), {}, "--max-stream-age must be a number of seconds"),
]
MISTYPED = [
    ("--max-streams", "0"),
    ("--max-stream-age", "0"),
    ("--max-stream-age", "nan"),
    ("--max-streams", "many"),
    ("--jwt-secret", SECRET),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key files, good and bad, and a JWKS; ``made`` has the key of ``keys.json``."""
    folder = tmp_path_factory.mktemp("exposure")
    made = reactor("keys", "add", "test", "--scopes", "read", "--keys", folder / "keys.json")
    assert made.returncode == 0, made.stderr
    (folder / "made").write_text(made.stdout.strip())
    for name, text, mode in (("open.json", (folder / "keys.json").read_text(), 0o644), ("broken.json", "{", 0o600)):
        (folder / name).write_text(text)
        (folder / name).chmod(mode)
    (folder / "jwks.json").write_text(json.dumps({"keys": [jwk(private_key(), kid="k")]}))
    return folder


def start(folder: Path, *arguments: str, **environment: str) -> Started:
    words = ("-m", "reactor_web", "serve", FLOW, "--port", "0", *arguments)
    return start_python(*words, cwd=folder, COLUMNS="200", **environment)


def outcome(folder: Path, *flags: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command that must end by itself."""
    done = reactor("serve", FLOW, "--port", 0, *flags, cwd=folder, **environment)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("flags", "environment", "sentence"), REFUSED)
def test_flags_that_cannot_be_are_one_sentence_and_nothing_is_started(
    folder: Path, flags: tuple[str, ...], environment: dict[str, str], sentence: str
) -> None:
    """Exit code 2; no secret in the sentence, no port, and no log file."""
    code, out, err = outcome(folder, *flags, **environment)
    assert (code, out) == (2, ""), err
    assert re.fullmatch(r"reactor: [^\n]+\n", err), err
    assert sentence in err
    assert SECRET not in err
    assert not (folder / "reactor.db").exists()


@pytest.mark.parametrize("flags", MISTYPED)
def test_a_flag_that_is_none_or_out_of_range_starts_nothing(folder: Path, flags: tuple[str, str]) -> None:
    """Exit code 2. There is no flag for a secret, which every user of the machine could read."""
    code, out, err = outcome(folder, *flags)
    assert (code, out) == (2, "")
    assert flags[0] in err
    assert not (folder / "reactor.db").exists()


# --- serving ----------------------------------------------------------------------------------------------------


@contextmanager
def served(folder: Path, *flags: str, **environment: str) -> Iterator[int]:
    """The port of a server."""
    process = start(folder, "--store", "memory://", *flags, **environment)
    try:
        line = process.stdout.readline()
        assert "serving on" in line, process.communicate(timeout=10)[1]
        yield int(line.rpartition(":")[2])
    finally:
        end(process)


def ask(port: int, credential: str | None = None, *, address: str = "127.0.0.1", **headers: str) -> tuple[int, Any]:
    """Status and answer of the list of runs."""
    given = headers if credential is None else {"Authorization": f"Bearer {credential}", **headers}
    try:
        with urlopen(Request(f"http://{address}:{port}/api/v1/runs", headers=given), timeout=10) as response:
            return response.status, json.loads(response.read())
    except HTTPError as error:
        return error.code, json.loads(error.read()).get("code")


def jwt_of(algorithm: str) -> str:
    claims = {"sub": "ann", "aud": AUDIENCE, "exp": time.time() + 600, "scope": "read"}
    return token(claims, algorithm, headers={"kid": "k"})


def test_with_keys_everybody_says_who_they_are(folder: Path) -> None:
    """On loopback, too, and on every address; with the key that ``reactor keys add`` has printed."""
    with served(folder, *ANYWHERE, "--keys", "keys.json") as port:
        key = (folder / "made").read_text()
        assert ask(port)[1] == "unauthenticated"
        assert ask(port, key[:-1] + ("a" if key[-1] != "a" else "b")) == (401, "unauthenticated")
        assert ask(port, jwt_of("HS256")) == (401, "unauthenticated")  # nobody has said that there are JWTs
        assert ask(port, key)[0] == 200


@pytest.mark.parametrize("end_of_line", ["", "\n", "\r\n"], ids=repr)
def test_the_secret_of_the_environment_is_the_one_without_the_end_of_its_line(folder: Path, end_of_line: str) -> None:
    """As files and ``env_file`` have it."""
    with served(folder, *AUD, **{JWT: SECRET + end_of_line}) as port:
        assert [ask(port)[0], ask(port, jwt_of("HS256"))[0]] == [401, 200]


def test_a_jwks_file_says_who_signs(folder: Path) -> None:
    """Tokens of its key are taken; one that is signed with anything else is not."""
    with served(folder, "--jwks", "jwks.json", *AUD, "--max-streams", "9", "--max-stream-age", "60") as port:
        assert [ask(port)[0], ask(port, jwt_of("RS256"))[0], ask(port, jwt_of("HS256"))[0]] == [401, 200, 401]


def test_insecure_serves_everybody_and_the_default_only_this_machine(folder: Path) -> None:
    """As a proxy passes it on, and on another address of this machine, where it has one."""
    with served(folder, *ANYWHERE, "--insecure") as port, served(folder) as closed:
        address = address_of_this_machine()
        assert ask(port)[0] == 200
        assert ask(port, **{"X-Forwarded-For": "192.0.2.1"})[0] == 200
        assert ask(port, address=address)[0] == 200
        assert ask(closed)[0] == 200
        assert ask(closed, **{"X-Forwarded-For": "192.0.2.1"}) == (403, "not-exposed")
        assert ask(closed, Host="flows.example.com") == (403, "forbidden-host")
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, closed), timeout=5)


def address_of_this_machine() -> str:
    """An address at which others reach it. Skips where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("asks on an address that others reach, which is not here")
        return probe.getsockname()[0]
