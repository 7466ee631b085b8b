"""What a user of an installed Reactor does first, in a project that has a package ``web`` of its own.

    VENV/bin/python tests/project/smoke.py

``.ci/run`` does this for the wheel, the sdist and an editable install. PyPI's ``web.py`` is installed beside, which
brings a package ``web`` too. Uses nothing of this checkout: everything is run by the interpreter that runs this file.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

SCRIPTS = Path(__file__).parents[2] / "web" / "reactor_web" / "javascript"
"""What must have come along: the folder beside this file, only to compare with it."""
COMMAND = Path(sys.executable).parent / "reactor"
SECONDS = 60

VIEWS = """
def title(name: str) -> str:
    return name.title()
"""

APP = """
from reactor import Workflow
from web.views import title

flow = Workflow("greeting")


@flow.task
async def greet(name: str = "ada") -> str:
    return f"Hello, {title(name)}"


@flow.task(executor="process")
def shout(greet: str) -> str:
    return greet.upper() + "!"
"""

MOUNTED = """
import asyncio

import aiohttp
from aiohttp.web import Application, AppRunner, TCPSite

from app import flow
from reactor import Engine
from reactor_web import mount
from web.views import title


async def main() -> None:
    app = Application()
    mount(app, Engine("memory://"), [flow], prefix="/jobs")
    runner = AppRunner(app)
    await runner.setup()
    await TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/jobs/workflows/greeting/runs"
    async with aiohttp.ClientSession() as session:
        async with session.post(url, json={"input": {"name": "grace"}}, headers={"Prefer": "wait=30"}) as response:
            print((await response.json())["outputs"]["shout"], title("done"))
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
"""


def main() -> None:
    with TemporaryDirectory() as folder:
        empty = Path(folder, "empty")
        empty.mkdir()
        project = Path(folder, "project")
        (project / "web").mkdir(parents=True)
        (project / "web" / "__init__.py").touch()
        (project / "web" / "views.py").write_text(VIEWS)
        (project / "app.py").write_text(APP)
        (project / "mounted.py").write_text(MOUNTED)

        check_versions(project)
        check_types(project)
        check_names(project, empty)
        check_run(project)
        check_serve(project)
        check_mount(project)
    print(f"smoke test passed: reactor {version('reactor-dag')} in {sys.prefix}")


def check_versions(project: Path) -> None:
    """The command and the package say the version of the distribution; ``python -m reactor`` is the command."""
    assert version("reactor-dag") in output(COMMAND, "--version", cwd=project)
    assert output(sys.executable, "-c", "import reactor; print(reactor.__version__)", cwd=project).strip() == version(
        "reactor-dag"
    )
    assert "serve" in output(sys.executable, "-m", "reactor", "--help", cwd=project)


def check_types(project: Path) -> None:
    """Both packages have the file that tells type checkers to read their annotations (PEP 561)."""
    where = "from importlib.resources import files; print(*(files(p).joinpath('py.typed').is_file() for p in {}))"
    packages = ("reactor", "reactor_web")
    assert output(sys.executable, "-c", where.format(packages), cwd=project) == "True True\n"


def check_names(project: Path, empty: Path) -> None:
    """``import web`` is the project's own package there, and web.py elsewhere; Reactor takes that name nowhere."""
    where = "import reactor, reactor_web, web; print(web.__file__)"
    assert Path(output(sys.executable, "-c", where, cwd=project).strip()).is_relative_to(project.resolve())
    output(sys.executable, "-c", "import reactor, reactor_web, web; assert web.application", cwd=empty)


def check_run(project: Path) -> None:
    """``reactor run`` with a file that imports from the project's ``web``; a body runs in a process of its own."""
    lines = output(COMMAND, "run", "app.py", "name=ada", "--json", cwd=project).splitlines()
    assert json.loads(lines[-1])["type"] == "run.completed", lines
    assert "HELLO, ADA!" in output(COMMAND, "run", "app.py", "name=ada", cwd=project)


def check_serve(project: Path) -> None:
    """``reactor serve``: a run is started over HTTP, its stream read to ``stream.end``; SIGTERM ends it with 0."""
    command = [COMMAND, "serve", "app.py", "--port", "0", "--store", "sqlite:///runs.db"]
    server = subprocess.Popen(command, cwd=project, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split(" on ")[1].strip() + "/api/v1"
        body = json.dumps({"run_id": "r1", "input": {"name": "ada"}}).encode()
        headers = {"Content-Type": "application/json"}
        with urlopen(Request(f"{url}/workflows/greeting/runs", body, headers), timeout=SECONDS) as response:
            assert response.status == 201
        with urlopen(f"{url}/runs/r1/events", timeout=SECONDS) as stream:
            lines = stream.read().decode().splitlines()
        events = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        assert events[0] == "run.started", events
        assert events[-2:] == ["run.completed", "stream.end"], events
        check_client(url)
        server.send_signal(signal.SIGTERM)
        assert server.wait(SECONDS) == 0
    finally:
        server.kill()
        server.communicate()


def check_client(url: str) -> None:
    """Every module of the JavaScript client has come along, and is served, without its comments."""
    modules = sorted([*SCRIPTS.glob("*.js"), *SCRIPTS.glob("*.d.ts")])
    assert "reactor.js" in [path.name for path in modules], SCRIPTS
    for path in modules:
        with urlopen(f"{url}/client/{path.name}", timeout=SECONDS) as response:
            assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
            lines = response.read().split(b"\n")
            assert len(lines) > 1, path.name
            assert set(lines) <= set(path.read_bytes().split(b"\n")), path.name


def check_mount(project: Path) -> None:
    """``reactor_web.mount`` in an aiohttp application of the project."""
    assert output(sys.executable, "mounted.py", cwd=project) == "HELLO, GRACE! Done\n"


def output(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def environment() -> dict[str, str]:
    """Without what would lend this checkout, or another environment, to the programs."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


if __name__ == "__main__":
    main()
