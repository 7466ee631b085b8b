"""Code moves from a run in process to one on a server, and back, by changing one line: the surfaces are the same."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest

import reactor_web
import reactor_web.client
from reactor import Engine, Run
from reactor.runs.session import Session
from reactor_web.client import Client, RemoteRun, RemoteSession
from tests.helpers.paths import ROOT

ONLY_HERE: dict[str, dict[str, str]] = {
    "Run": {
        "feed": "of the engine: where its events are published",
        "log": "log.created is reserved for the engine: HTTP offers no log lines from outside",
        "spend": "HTTP offers no spending from outside",
        "committed": "each call returns once its event is in the log",
        "outputs_json": "what shown_outputs reads, as the server sends it",
        "tenant": "that of the credential",
    },
    "Session": {},
    "Engine": {
        "log": "the log is the server's",
        "tenant": "that of the credential",
        "answers": "of the server",
        "clock": "of the server",
        "listeners": "of the server",
        "digest_key": "of the server",
        "drain": "the server drains; a client is closed",
        "is_accepting": "GET /readyz",
        "register": "the server has its workflows",
        "workflow": "workflows() has the definitions by name",
        "wait_for": "client.run(id, await_run=60)",
        "not_recovered": "of the server",
        "log_problem": "GET /readyz",
        "open_runs": "GET /readyz",
        "figures": "GET /metrics",
        "count_questions": "GET /metrics",
        "running": "client.list(status='running')",
        "live": "client.all_events",
        "events": "an old name",
        "put_schedule": "schedule, with a rule that was checked before",
        "trigger_id": "a repeated request has the key of the first",
        "ensure_session": "client.session, which finds the one that exists",
        "tree": "client.list(root=id)",
        "descendant": "run.send(..., run=id), client.run(id)",
        "has_tree_events": "the server refuses where its log has no such order",
        "has_all_events": "the server refuses where its log has no such order",
    },
}
"""Class in process -> name that it alone has -> why."""

ONLY_THERE: dict[str, dict[str, str]] = {
    "Run": {
        "url": "a run in process has none",
        "refresh": "asks the server for what a handle in process always knows",
        "retry": "engine.retry",
        "delete": "engine.delete",
    },
    "Session": {},
    "Engine": {
        "url": "an engine has none",
        "connection": "for requests without a method",
        "close": "drain",
        "run": "a handle without a request",
        "runs": "all pages of list",
        "start_plan": "a document is sent as it is; in process: start(load_plan(document))",
    },
}
"""Class in process -> name that only its counterpart has -> why."""

CHANGED: dict[str, str] = {
    "workflows": "a request, so it is a call; gives definitions",
    "tools": "a request, so it is a call; gives descriptions",
}
"""Names that are another kind of thing."""

WITHOUT: dict[str, str] = {
    "by": "the server notes who asks, or the address that a command came from",
    "tenant": "that of the credential",
    "traceparent": "a header of the request: `headers=` of the client, or what instruments aiohttp",
    "trigger_id": "a repeated request has the key of the first",
}
"""Parameters that the counterpart does not have."""
WITH: dict[str, str] = {"run": "of send: a run below, which is engine.descendant in process"}
"""Parameters that only the counterpart has."""

PAIRS = [(Run, RemoteRun, "Run"), (Session, RemoteSession, "Session"), (Engine, Client, "Engine")]


def public(kind: type) -> set[str]:
    names = {name for name in dir(kind) if name[0] != "_"}
    if kind is Engine:
        names |= {"log", "answers", "clock", "listeners", "digest_key"}
    if kind is Client:
        names |= {"connection"}
    return names | ({"feed"} if issubclass(kind, Run) else set())


def exceptions(table: dict[str, dict[str, str]], name: str) -> set[str]:
    return set(table[name]) | (set(table["Run"]) if name == "Session" else set())


@pytest.mark.parametrize(("here", "there", "name"), PAIRS, ids=[name for _, _, name in PAIRS])
def test_the_names_are_the_same(here: type, there: type, name: str) -> None:
    """But for those above, each with its reason; and none of those stands there in vain."""
    assert public(here) - public(there) == exceptions(ONLY_HERE, name)
    assert public(there) - public(here) == exceptions(ONLY_THERE, name)


@pytest.mark.parametrize(("here", "there", "name"), PAIRS, ids=[name for _, _, name in PAIRS])
def test_the_parameters_are_the_same(here: type, there: type, name: str) -> None:
    """In name, order, kind and default."""
    for method in sorted(public(here) & public(there) - set(CHANGED)):
        ours, theirs = inspect.getattr_static(here, method), inspect.getattr_static(there, method)
        assert isinstance(ours, property) == isinstance(theirs, property), method
        if not isinstance(ours, property):
            assert _parameters(ours, WITHOUT) == _parameters(theirs, WITH), method


def _parameters(method: Any, without: dict[str, str]) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(method).parameters.values()
    return [(one.name, one.kind, one.default) for one in parameters if one.name not in without]


@pytest.mark.parametrize("special", ["__aiter__", "__await__", "__getitem__"])
def test_a_run_is_iterated_and_awaited_the_same_way(special: str) -> None:
    """On both."""
    assert hasattr(Run, special)
    assert hasattr(RemoteRun, special)


def test_the_client_is_found_where_one_looks() -> None:
    """In the package, and in its room; the names are importable and sorted."""
    for name in ("Client", "RemoteRun", "SyncClient"):
        assert getattr(reactor_web, name) is getattr(reactor_web.client, name)
    assert reactor_web.client.__all__ == sorted(reactor_web.client.__all__)
    assert all(hasattr(reactor_web.client, name) for name in reactor_web.client.__all__)
    assert set(reactor_web.__all__) <= set(dir(reactor_web))
    with pytest.raises(AttributeError, match="'reactor_web' has no attribute 'nonsense'"):
        _ = reactor_web.nonsense  # type: ignore[attr-defined]


def test_the_client_needs_nothing_of_the_server() -> None:
    """Its import loads neither a server of aiohttp nor a terminal."""
    code = """
import sys
sys.modules.update({"aiohttp.web": None, "typer": None})
import reactor_web.client
from reactor_web import Client
print(sorted({name.split(".")[1] for name in sys.modules if name.startswith("reactor_web.")}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.stdout, done.stderr) == ("['client', 'sse']\n", "")
