"""``SyncClient``: the same without ``await``, from scripts, notebooks and several threads."""

from __future__ import annotations

import asyncio
import gc
import inspect
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from reactor import Context, Engine, Event, InputError, RunCancelled, RunFailed, UnknownRun, Workflow
from reactor_web.client import Client, ClientClosed, RemoteRun, RemoteSession, SyncClient, SyncRun, SyncSession
from tests.helpers.paths import ROOT
from tests.helpers.remote import served
from tests.helpers.runs import PATIENCE

add = Workflow("add")
asks = Workflow("asks")
fails = Workflow("fails")


@add.task
async def one(n: int = 1) -> int:
    return n


@add.task
async def two(one: int) -> int:
    return one + 1


@asks.task
async def approve(ctx: Context) -> str:
    return str(await ctx.receive("publish?", key="publish"))


@fails.task
async def breaks() -> None:
    raise ValueError("as it must")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server in a thread, for all tests of this file."""
    with served(Engine("memory://", grace=0), add, asks, fails) as url:
        yield url


def clients() -> list[threading.Thread]:
    """The threads of the clients that are open; one more is that of the server."""
    return [thread for thread in threading.enumerate() if thread.name == "reactor client"]


def test_a_script_starts_follows_and_awaits(url: str) -> None:
    """Events, outputs, state, errors: those of ``Client``; its thread ends with it."""
    before = len(clients())
    with SyncClient(url) as client:
        assert len(clients()) == before + 1
        run = client.start("add", {"n": 4}, meta={"by": "script"})
        events = list(run)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert run.wait() == run.outputs() == {"two": 5}
        assert (run.status, run.state.meta) == ("completed", {"by": "script"})
        assert run.output("one") == b"4"
        assert client.get(run.id).state == run.ended()
        assert client.ensure("add", {"n": 4}, meta={"by": "script"}, run_id=run.id)[1] is False
        assert run.id in [record.run_id for record in client.list(limit=1_000)]
        assert run.id in [record.run_id for record in client.runs()]
        assert set(client.workflows()) == {"add", "asks", "fails"}
        with pytest.raises(RunFailed, match="as it must"):
            client.start("fails").wait()
        with pytest.raises(InputError):
            client.start("add", {"n": "x"})
        with pytest.raises(UnknownRun):
            client.get("nope")
        assert client.tools() is not None
        tree = [event.message for event in client.tree_events(run.id)]
        assert tree == events
    assert len(clients()) == before


def test_commands_and_sessions(url: str) -> None:
    """``send``, ``pause``, ``resume``, ``cancel``, ``retry``, ``emit``, ``close``."""
    with SyncClient(url) as client:
        run = client.start("asks")
        run.pause()
        assert run.status == "paused"
        run.resume()
        run.send("approve", "yes", key="publish")
        assert run.wait() == {"approve": "yes"}
        waits = client.start("asks")
        waits.cancel(reason="enough")
        with pytest.raises(RunCancelled, match="enough"):
            waits.wait()
        again = waits.retry()
        client.cancel(again.id)
        again.ended()
        client.delete(again.id)
        session = client.session("s1")
        session.emit("note.made", {"n": 1})
        assert isinstance(client.get("s1"), SyncSession)
        session.close(outputs={"a": 1})
        assert session.wait() == {"a": 1}


async def test_it_works_where_a_loop_runs_already(url: str) -> None:
    """As in a cell of a notebook: the loop of the caller stands still meanwhile, and is unharmed."""
    with SyncClient(url) as client:
        assert client.start("add").wait() == {"two": 2}
    await asyncio.sleep(0)


def test_several_threads_use_one_client(url: str) -> None:
    """Each follows and awaits runs of its own, and one run that they all follow."""
    with SyncClient(url) as client:
        shared = client.start("asks")

        def work(n: int) -> tuple[object, list[int]]:
            run = client.start("add", {"n": n})
            events = [event.seq for event in run]
            return run.wait(), events

        def follow(_: int) -> list[Event]:
            return list(shared)

        with ThreadPoolExecutor(12) as threads:
            following = [threads.submit(follow, n) for n in range(4)]
            for n, (outputs, seqs) in enumerate(threads.map(work, range(8), timeout=PATIENCE)):
                assert outputs == {"two": n + 1}
                assert seqs == list(range(1, len(seqs) + 1))
            shared.send("approve", "yes")
            seen = [followed.result(PATIENCE) for followed in following]
        assert seen[0][-1].type == "run.completed"
        assert all(events == seen[0] for events in seen)


def test_an_iterator_that_is_left_early_can_be_begun_anew(url: str) -> None:
    """Also where it is collected, or closed by hand; the client goes on."""
    with SyncClient(url) as client:
        run = client.start("asks")
        for event in run:
            assert event.seq == 1
            break
        events = iter(run)
        assert next(events).seq == 1
        del events
        gc.collect()
        run.send("approve", "yes")
        assert list(run)[-1].type == "run.completed"
        assert run.wait() == {"approve": "yes"}


def test_closing_ends_iterators_and_who_waits(url: str) -> None:
    """In other threads; later calls say that it is closed, and the state stays; to close it again does nothing."""
    client = SyncClient(url)
    run = client.start("asks")
    began = threading.Event()

    def follow() -> None:
        for _ in run:
            began.set()

    with ThreadPoolExecutor(2) as threads:
        following, waiting = threads.submit(follow), threads.submit(run.wait)
        assert began.wait(PATIENCE)
        client.close()
        for ended in (following, waiting):
            with pytest.raises(ClientClosed, match="the client is closed"):
                ended.result(PATIENCE)
    calls = (run.wait, run.refresh, lambda: client.start("add"), lambda: list(run), lambda: list(client.all_events()))
    for call in (*calls, lambda: run.events.subscribe(print)):
        with pytest.raises(ClientClosed, match="the client is closed"):
            call()
    assert run.state.seq >= 1
    client.close()


async def test_what_is_for_the_other_client_is_a_sentence(url: str) -> None:
    """``await`` and ``async`` with a SyncClient, ``with`` and ``for`` with a Client."""
    client = SyncClient(url)
    run: Any = client.run("r")
    with pytest.raises(TypeError, match=r"write run\.wait\(\)"):
        await run
    with pytest.raises(TypeError, match="write for event in run"):
        async for _ in run:
            pass
    with pytest.raises(TypeError, match=r"write with SyncClient"):
        async with client:
            pass
    client.close()
    other: Any = Client(url)
    with pytest.raises(TypeError, match=r"write async with Client"), other:
        pass


def test_ctrl_c_leaves_the_wait_and_the_client_goes_on(url: str) -> None:
    """KeyboardInterrupt comes out of ``wait`` and of a loop; what was waited for is no longer followed."""
    main = threading.main_thread().ident
    assert main is not None
    with SyncClient(url) as client:
        run = client.start("asks")
        interrupted = threading.Event()

        def interrupt(_: object) -> None:
            if not interrupted.is_set():
                interrupted.set()
                signal.pthread_kill(main, signal.SIGINT)

        def leave_a_wait() -> None:
            run.events.subscribe(interrupt)
            run.wait()

        def leave_a_loop() -> None:
            interrupted.clear()  # here: from now on, events that were still on their way interrupt too
            run.live.subscribe(interrupt)
            run.pause()
            for _ in run:
                pass

        with pytest.raises(KeyboardInterrupt):
            leave_a_wait()
        with pytest.raises(KeyboardInterrupt):
            leave_a_loop()
        run.resume()
        run.send("approve", "yes")
        assert run.wait() == {"approve": "yes"}


def test_subscribers_are_called_on_the_thread_of_the_client(url: str) -> None:
    """There, to wait would be to wait for oneself: it is refused with a sentence."""
    with SyncClient(url) as client:
        run = client.start("add")
        seen: list[Event] = []
        names: set[str] = set()
        errors: list[Exception] = []
        ended = threading.Event()

        def hear(event: Event) -> None:
            seen.append(event)
            names.add(threading.current_thread().name)
            try:
                run.refresh()
            except RuntimeError as error:
                errors.append(error)

        run.events.subscribe(hear, print, ended.set)
        assert ended.wait(PATIENCE)
        assert seen == list(run)
        assert names == {"reactor client"}
        assert {str(error).partition(",")[0] for error in errors} == {"a SyncClient cannot wait on its own thread"}
        subscription = run.events_after(2).subscribe(seen.append)
        subscription.dispose()


def test_a_client_that_is_forgotten_ends_with_the_process(url: str) -> None:
    """Nothing hangs, and nothing is said, where a script closes nothing."""
    code = f"""
from reactor_web.client import SyncClient
run = SyncClient({url!r}).start("asks")
events = iter(run)
print(next(events).seq)
"""
    words = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_a_session_of_another_loop_is_refused() -> None:
    """Before a thread is begun."""
    with pytest.raises(TypeError, match="leave out session="):
        SyncClient("http://x", session=None)


@pytest.mark.parametrize(
    ("blocking", "remote"), [(SyncClient, Client), (SyncRun, RemoteRun), (SyncSession, RemoteSession)]
)
def test_no_method_of_the_client_is_missing(blocking: type, remote: type) -> None:
    """The same names with the same parameters, but for ``__init__`` and what has no meaning without a loop."""
    beside = {"client", "loop", "remote", "wait"}
    names = {name for name in dir(remote) if name[0] != "_"} - {"connection"}
    assert {name for name in dir(blocking) if name[0] != "_"} - beside == names
    for name in names:
        theirs, ours = inspect.getattr_static(remote, name), inspect.getattr_static(blocking, name)
        if not isinstance(theirs, property):
            found = [list(inspect.signature(method).parameters) for method in (theirs, getattr(ours, "_method", ours))]
            assert found[0] == found[1], name
