"""What docs/deploy.md shows is what the command does. Its nginx is in tests/web/test_proxy.py."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.helpers.command import COMMAND, end, reactor, start_reactor
from tests.helpers.life import FLOW, Life
from tests.helpers.paths import ROOT, block_of

DEPLOY = "docs/deploy.md"


def documented_commands() -> dict[str, list[str]]:
    """The arguments of ``reactor serve`` in the unit of systemd and in the Dockerfile."""
    unit = re.search(r"^ExecStart=\S+/reactor (.*)$", block_of(DEPLOY, "ini"), re.MULTILINE)
    image = re.search(r"^CMD (\[.*\])$", block_of(DEPLOY, "dockerfile"), re.MULTILINE)
    assert unit is not None
    assert image is not None
    return {"systemd": shlex.split(unit[1]), "docker": json.loads(image[1])[1:]}


def option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


def health_check(port: str) -> list[str]:
    check = re.search(r"^HEALTHCHECK CMD (\[.*\])$", block_of(DEPLOY, "dockerfile"), re.MULTILINE)
    assert check is not None
    assert check[1].count(":8080/") == 1
    return [sys.executable, *json.loads(check[1].replace(":8080/", f":{port}/"))[1:]]


def start(url: str, host: str, key: str) -> int:
    """The status of a request that starts nothing, since its input is missing, if the name and the key are good."""
    headers = {"Content-Type": "application/json", "Host": host, "Authorization": f"Bearer {key}"}
    request = Request(f"{url}/workflows/tokens/runs", b"{}", headers)
    try:
        with urlopen(request) as response:
            return response.status
    except OSError as error:
        return getattr(error, "code", 0)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["systemd", "docker"])
def test_the_documented_command_serves_is_healthy_and_ends_on_sigterm(where: str, tmp_path: Path) -> None:
    """Its name is allowed and others are not; it asks for keys; the health check sees it live and gone; SIGTERM ends
    it with 0."""
    arguments = documented_commands()[where]
    store = option(arguments, "--store")
    assert store.startswith("sqlite:////")
    keys = str(tmp_path / "keys.json")
    key = reactor("keys", "add", "test", "--scopes", "run", "--keys", keys).stdout.strip()
    given = {
        "report.py": str(FLOW),
        store: f"sqlite:///{tmp_path}/runs.db",
        option(arguments, "--keys"): keys,
    }
    process = start_reactor(*[given.get(argument, argument) for argument in arguments], "--port", 0)
    try:
        line = process.stdout.readline()
        port = line.strip().rpartition(":")[2]
        assert port.isdigit(), (line, process.poll() is not None and process.stderr.read())
        check = health_check(port)
        assert subprocess.run(check, capture_output=True).returncode == 0
        url = f"http://127.0.0.1:{port}/api/v1"
        name = option(arguments, "--allow-host")
        assert [start(url, name, key), start(url, name, ""), start(url, "evil.example.com", key)] == [422, 401, 403]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == 0
        assert subprocess.run(check, capture_output=True).returncode != 0
    finally:
        end(process)


def test_what_ends_a_process_waits_longer_than_its_grace() -> None:
    """systemd and Kubernetes kill after the grace and ten seconds, as the text says."""
    for where, language, name in (("systemd", "ini", "TimeoutStopSec="), ("docker", "yaml", "GracePeriodSeconds: ")):
        patience = re.search(rf"{name}(\d+)", block_of(DEPLOY, language))
        assert patience is not None
        assert int(patience[1]) >= int(option(documented_commands()[where], "--grace")) + 10


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """``systemd-analyze verify`` has nothing to say of it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("is checked by systemd-analyze, which is not here")
    unit = tmp_path / "flows.service"
    text = block_of(DEPLOY, "ini").replace("/srv/flows/.venv/bin/reactor", sys.executable)
    unit.write_text(text.replace("User=flows", "User=root"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert "flows.service" not in done.stderr


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    life = Life(tmp_path / "runs.db", "--grace", "60")
    yield life
    end(life.process)


def test_a_second_process_on_one_file_ends_with_2_and_names_the_owner(life: Life) -> None:
    """As the text quotes it."""
    done = reactor("serve", FLOW, "--store", life.store, "--port", 0)
    assert done.returncode == 2
    assert re.search(r"runs\.db is in use by process \d+ at http://\S+; one process owns a log", done.stderr)


def test_the_first_signal_closes_the_port_and_the_second_one_ends_the_process(life: Life, tmp_path: Path) -> None:
    """While a body uses its grace, connections are refused; a second SIGTERM does not wait for it."""
    life.start_run(gate=str(tmp_path / "gate"))
    life.process.send_signal(signal.SIGTERM)
    while is_served(life):
        pass
    assert life.process.poll() is None
    life.process.send_signal(signal.SIGTERM)
    life.process.communicate(timeout=20)
    assert life.process.returncode == 128 + signal.SIGTERM


def is_served(life: Life) -> bool:
    try:
        with urlopen(f"{life.url}/healthz", timeout=10):
            return True
    except OSError:
        return False


@pytest.mark.slow
def test_as_pid_1_it_ends_on_sigterm(tmp_path: Path) -> None:
    """Also without an init process, which would pass the signal on."""
    pid_1 = ["unshare", "--fork", "--pid", "--kill-child", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*pid_1, "true"], capture_output=True).returncode:
        pytest.skip("makes a PID namespace, which is not allowed here")
    serve = [*COMMAND, "serve", str(FLOW), "--port", "0", "--store", f"sqlite:///{tmp_path}/runs.db"]
    process = subprocess.Popen([*pid_1, *serve], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "serving on" in process.stdout.readline()
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert "NSpid:\t" in (status := Path(f"/proc/{child}/status").read_text())
        assert re.search(r"^NSpid:.*\t1$", status, re.MULTILINE)
        subprocess.run(["kill", "-TERM", child], check=True)
        process.communicate(timeout=20)
        assert process.returncode == 0
    finally:
        end(process)


def test_every_flag_of_who_may_ask_is_in_the_table() -> None:
    """The flags of ``reactor serve`` beside those that are about the server itself, and no others."""
    shown = reactor("serve", "--help").stdout
    flags = set(re.findall(r"(--[a-z-]+)", shown))
    others = {"--host", "--port", "--store", "--grace", "--log-level", "--log-format", "--help"}
    others |= {"--reload", "--config", "--show-settings"}
    table = (ROOT / DEPLOY).read_text().partition("### The flags")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    assert set(re.findall(r"(--[a-z-]+)", " ".join(rows))) == flags - others
