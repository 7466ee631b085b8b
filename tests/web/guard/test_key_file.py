"""A key file: who may read it, when it is read again, and that no change is lost or half done."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reactor.ports import KeyRecord
from reactor.testing import VirtualClock, key_laws
from reactor_web.bounds import KEY_FILE_BYTES, KEY_FILE_SECONDS
from reactor_web.guard import key_file
from reactor_web.guard.key_file import KeyFile, KeyFileError
from tests.helpers.log_lines import log_lines
from tests.helpers.warm import start_python

PLAIN: dict[str, Any] = {
    "id": "a", "name": "ci", "digest": "0" * 64, "scopes": ["read"], "expires": None,
}  # fmt: skip

ADDS = """
import asyncio, sys
from reactor.testing.key_laws import key
from reactor_web.guard.key_file import KeyFile

async def main(path, name, count):
    for i in range(int(count)):
        await KeyFile(path).add(key(f"{name}{i}"))

asyncio.run(main(*sys.argv[1:]))
"""

KILLED = """
import asyncio, os, signal, sys
from reactor.testing.key_laws import key
from reactor_web.guard import key_file

key_file._sync_folder = os.replace = None
key_file.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(key_file.KeyFile(sys.argv[1]).add(key("second")))
"""


def write(path: Path, *keys: dict[str, Any], mode: int = 0o600, **members: Any) -> Path:
    path.write_text(json.dumps({"version": 1, "keys": list(keys), **members}))
    path.chmod(mode)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "keys.json", PLAIN)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(jumps=False)


def refused(path: Path) -> str:
    with pytest.raises(KeyFileError) as error:
        KeyFile(path).load()
    assert error.value.path == str(path)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- what a file may be ---


def make_open(path: Path) -> None:
    path.chmod(0o640)


def make_writable(path: Path) -> None:
    path.chmod(0o602)


def remove(path: Path) -> None:
    path.unlink()


def break_it(path: Path) -> None:
    path.write_text('{"version": 1, "keys": [')


def empty_it(path: Path) -> None:
    path.write_text("")


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


def make_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def make_large(path: Path) -> None:
    path.write_text(path.read_text() + " " * KEY_FILE_BYTES)


SPOILED: list[tuple[Callable[[Path], None], str]] = [
    (make_open, "the key file {path} is open to others than its owner (mode 0640): chmod 600 {path}"),
    (make_writable, "the key file {path} is open to others than its owner (mode 0602): chmod 600 {path}"),
    (remove, "there is no key file {path}; `reactor keys add` makes one"),
    (break_it, "the key file {path} is broken: Invalid JSON: EOF while parsing a list at line 1 column 24"),
    (empty_it, "the key file {path} is broken: Invalid JSON: EOF while parsing a value at line 1 column 0"),
    (make_a_folder, "the key file {path} is no file"),
    (make_a_pipe, "the key file {path} is no file"),
    (make_large, f"the key file {{path}} has more than {KEY_FILE_BYTES} bytes"),
]
SPOILS = pytest.mark.parametrize(("spoil", "sentence"), SPOILED, ids=lambda value: getattr(value, "__name__", ""))


@SPOILS
async def test_at_the_start_a_file_that_cannot_be_used_is_an_error(
    spoil: Callable[[Path], None], sentence: str, path: Path
) -> None:
    """One sentence with its path, before anybody is served, and for whoever asks all the same."""
    spoil(path)
    assert refused(path) == sentence.format(path=path)
    with pytest.raises(KeyFileError, match="key file"):
        await KeyFile(path).find("a")
    with pytest.raises(KeyFileError, match="key file"):
        await KeyFile(path).revoke("a")


@SPOILS
async def test_while_serving_the_keys_that_were_read_go_on_to_count(
    spoil: Callable[[Path], None], sentence: str, path: Path, clock: VirtualClock
) -> None:
    """The log says it once, however often it is looked at; once it is well again, the file counts again."""
    keys = KeyFile(path, clock)
    assert keys.load() == 1
    spoil(path)
    with log_lines() as lines:
        for _ in range(3):
            clock.jump(KEY_FILE_SECONDS)
            assert await keys.find("a") is not None
        assert lines == [
            {
                "event": "the key file cannot be used; the keys that were read before go on to count",
                "path": str(path),
                "error": sentence.format(path=path),
                "log_level": "error",
            }
        ]
        lines.clear()
        new = write(path.with_name("new"), PLAIN | {"id": "b"})
        if path.is_dir():
            path.rmdir()
        new.replace(path)
        clock.jump(KEY_FILE_SECONDS)
        assert await keys.find("b") is not None
        assert await keys.find("a") is None
        assert [line["event"] for line in lines] == ["the key file was read again"]
        path.unlink()
        clock.jump(KEY_FILE_SECONDS)
        assert await keys.find("b") is not None
        assert [line["log_level"] for line in lines] == ["info", "error"]


async def test_an_unchanged_file_that_was_gone_for_a_while_is_well_again(path: Path, clock: VirtualClock) -> None:
    """The next time it is gone the log says so again."""
    keys = KeyFile(path, clock)
    keys.load()
    with log_lines() as lines:
        for _ in range(2):
            path.rename(path.with_name("away"))
            clock.jump(KEY_FILE_SECONDS)
            await keys.find("a")
            path.with_name("away").rename(path)
            clock.jump(KEY_FILE_SECONDS)
            await keys.find("a")
        assert [line["log_level"] for line in lines if line["log_level"] == "error"] == ["error"] * 2


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"id": "a_b"}, "keys[0].id: String should match pattern '^[0-9A-Za-z]{1,32}$'"),
    ({"name": "a\nb"}, "keys[0].name: a name is 1 to 100 characters that can be printed, without spaces around them"),
    ({"digest": "0" * 63}, "keys[0].digest: String should match pattern '^[0-9a-f]{64}$'"),
    ({"scopes": ["raed"]}, "keys[0].scopes[0]: there is no scope 'raed', did you mean 'read'?"),
    ({"scopes": ["x"]}, "keys[0].scopes[0]: there is no scope 'x'; there are read, run, control, admin"),
    ({"scopes": []}, "keys[0].scopes: Tuple should have at least 1 item after validation, not 0"),
    ({"run": ["a-*"]}, "keys[0].run: Extra inputs are not permitted"),
    ({"runs": []}, "keys[0].runs: Tuple should have at least 1 item after validation, not 0"),
    ({"runs": ["a b"]}, "keys[0].runs[0]: 'a b' is no pattern: 1 to 100 of A-Z a-z 0-9 . _ ~ - and * ? [ ] !"),
    ({"workflows": "census"}, "keys[0].workflows: Input should be a valid array"),
    ({"tenant": 5}, "keys[0].tenant: Input should be a valid string"),
    ({"expires": "tomorrow"}, "keys[0].expires: a time is written like 2027-01-31T12:00:00Z"),
    ({"expires": "2027-01-31"}, "keys[0].expires: a time is written like 2027-01-31T12:00:00Z"),
    ({"expires": 5}, "keys[0].expires: Input should be a valid string"),
    ({"revoked": 1}, "keys[0].revoked: Input should be a valid boolean"),
]


@pytest.mark.parametrize(("wrong", "sentence"), WRONG)
def test_a_wrong_member_is_named(wrong: dict[str, Any], sentence: str, path: Path) -> None:
    """With its place. A name that is not known is no smaller mistake: ``run`` for ``runs`` would open all runs."""
    write(path, PLAIN | wrong)
    assert refused(path) == f"the key file {path} is broken: {sentence}"


def test_what_is_missing_or_twice_is_named(path: Path) -> None:
    """What it opens must be said; an end, too, though it may be null."""
    for name in PLAIN:
        write(path, {member: value for member, value in PLAIN.items() if member != name})
        assert refused(path).endswith(f"keys[0].{name}: Field required")
    write(path, PLAIN, PLAIN)
    assert refused(path).endswith("is broken: two keys have the same id")
    write(path, version=2)
    assert refused(path).endswith("is broken: version: Input should be 1")


def test_no_sentence_has_a_digest(path: Path) -> None:
    """Whatever is wrong beside it or with it: log lines and terminals have these sentences."""
    for digest in ("f" * 64 + "\n", "f" * 65, "F" * 64):
        write(path, PLAIN | {"digest": digest, "id": "_", "extra": 1})
        assert "f" * 20 not in refused(path).lower()
        write(path, PLAIN | {"digest": digest})
        assert "f" * 20 not in refused(path).lower()


async def test_a_key_that_could_not_be_read_again_is_not_added(path: Path) -> None:
    """ValueError names what is wrong, and the file stays as it is."""
    before = path.read_bytes()
    for record in (key_laws.key("a_b"), key_laws.key("b", scopes=frozenset()), key_laws.key("b", name="")):
        with pytest.raises(ValueError):
            await KeyFile(path).add(record)
    with pytest.raises(ValueError, match="a key must not stand in a name"):
        await KeyFile(path).add(key_laws.key("b", name=f"my rk_b_{'0' * 43}"))
    assert path.read_bytes() == before


# --- when it is read ---


async def test_it_is_looked_at_once_a_second(path: Path, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is asked; a change is seen at the next look, also one that keeps time and size."""
    looks: list[Path] = []
    stamp_of = key_file._stamp_of

    def counted(path: Path) -> tuple[int, ...]:
        looks.append(path)
        return stamp_of(path)

    monkeypatch.setattr(key_file, "_stamp_of", counted)
    keys = KeyFile(path, clock)
    assert await keys.find("a") is not None
    assert await keys.find("b") is None
    status = path.stat()
    write(path.with_name("new"), PLAIN | {"id": "b"}).replace(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    clock.jump(KEY_FILE_SECONDS * 0.9)
    assert await keys.find("b") is None
    assert looks == []
    clock.jump(KEY_FILE_SECONDS * 0.1)
    assert await keys.find("b") is not None
    for _ in range(100):
        await keys.find("b")
    assert looks == [path]


async def test_a_disk_that_hangs_holds_up_one_who_asks(
    path: Path, clock: VirtualClock, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are answered at once from what was read before, and the loop goes on."""
    keys = KeyFile(path, clock)
    keys.load()
    begun = threading.Event()

    def hang(path: Path) -> tuple[int, ...]:
        begun.set()
        gate.wait()
        return ()

    monkeypatch.setattr(key_file, "_stamp_of", hang)
    clock.jump(KEY_FILE_SECONDS)
    first = asyncio.create_task(keys.find("a"))
    while not begun.is_set():
        await asyncio.sleep(0)
    for _ in range(20):
        clock.jump(KEY_FILE_SECONDS)
        assert await keys.find("a") is not None
    assert not first.done()
    gate.set()
    assert await first is not None


@SPOILS
def test_no_descriptor_stays_open(spoil: Callable[[Path], None], sentence: str, path: Path) -> None:
    """A server looks at a file that cannot be used every second, for days."""
    spoil(path)
    refused(path)
    before = list(Path("/proc/self/fd").iterdir())
    refused(path)
    assert list(Path("/proc/self/fd").iterdir()) == before


async def test_many_ask_at_once_before_it_was_read(path: Path) -> None:
    keys = KeyFile(path)
    assert all(await asyncio.gather(*(keys.find("a") for _ in range(20))))


# --- how it is changed ---


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
async def test_a_new_file_is_for_its_owner_alone(umask: int, tmp_path: Path) -> None:
    """Whatever the umask says, at the first key and at later ones; nothing else is left but the lock."""
    path = tmp_path / "keys.json"
    before = os.umask(umask)
    try:
        await KeyFile(path).add(key_laws.key("a"))
        modes = [stat.S_IMODE(path.stat().st_mode)]
        await KeyFile(path).add(key_laws.key("b"))
        modes.append(stat.S_IMODE(path.stat().st_mode))
    finally:
        os.umask(before)
    assert modes == [0o600, 0o600]
    assert {file.name for file in tmp_path.iterdir()} == {"keys.json", "keys.json.lock"}
    assert stat.S_IMODE((tmp_path / "keys.json.lock").stat().st_mode) & 0o077 == 0


async def test_what_a_person_wrote_is_kept(path: Path) -> None:
    """A change of one key leaves the others, and a link to the file stays one."""
    write(path, PLAIN | {"runs": ["a-*"], "tenant": None}, PLAIN | {"id": "b", "expires": "2027-01-31T12:00:00+01:00"})
    link = path.with_name("link.json")
    link.symlink_to(path.name)
    keys = KeyFile(link)
    before = await keys.all()
    await keys.add(key_laws.key("c"))
    assert await keys.revoke("b")
    assert link.is_symlink()
    expected = [before[0], replace(before[1], revoked=True), key_laws.key("c")]
    assert await keys.all() == expected == await KeyFile(path).all()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the file of another user")
async def test_root_leaves_a_file_to_its_owner(path: Path) -> None:
    """The service that reads it can read it after root has added a key, and can add one itself."""
    os.chown(path, 1234, 1234)
    await KeyFile(path).add(key_laws.key("b"))
    for file in (path, path.with_name("keys.json.lock")):
        assert (file.stat().st_uid, file.stat().st_gid) == (1234, 1234)


async def test_two_processes_add_at_the_same_time(tmp_path: Path) -> None:
    """No key of either is lost, and whoever reads meanwhile never finds a broken file."""
    path, script = tmp_path / "keys.json", tmp_path / "adds.py"
    script.write_text(ADDS)
    await KeyFile(path).add(key_laws.key("first"))
    processes = [start_python(script, path, name, 8) for name in ("x", "y")]
    while any(process.poll() is None for process in processes):
        assert KeyFile(path).load() >= 1
        await asyncio.sleep(0.002)
    assert [process.wait(30) for process in processes] == [0, 0], [process.stderr.read() for process in processes]
    for process in processes:
        process.communicate()
    records = await KeyFile(path).all()
    assert sorted(record.id for record in records) == sorted(["first", *(f"{n}{i}" for n in "xy" for i in range(8))])


async def test_a_process_that_is_killed_while_it_writes_spoils_nothing(tmp_path: Path) -> None:
    """The old file is whole, the lock is free, and the next change works."""
    path, script = tmp_path / "keys.json", tmp_path / "killed.py"
    script.write_text(KILLED)
    await KeyFile(path).add(key_laws.key("first"))
    process = start_python(script, path)
    assert process.wait(30) == -9, process.stderr.read()
    process.communicate()
    assert (tmp_path / "keys.json.new").exists()
    assert await KeyFile(path).all() == [key_laws.key("first")]
    await KeyFile(path).add(key_laws.key("third"))
    assert await KeyFile(path).all() == [key_laws.key("first"), key_laws.key("third")]
    assert not (tmp_path / "keys.json.new").exists()


async def test_a_lock_that_is_never_released_is_not_waited_for_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading needs no lock. Who would change the file is told after some seconds."""
    monkeypatch.setattr(key_file, "KEY_LOCK_SECONDS", 0.05)
    with key_file._locked(path):
        assert await KeyFile(path).find("a") is not None
        with pytest.raises(
            KeyFileError, match=r"another process has held the lock of the key file .* for 0\.05 seconds"
        ):
            await KeyFile(path).revoke("a")
    assert await KeyFile(path).revoke("a")


async def test_where_nothing_can_be_written_a_sentence_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is not there; a disk that is full, which leaves the old file and nothing beside it."""
    with pytest.raises(KeyFileError, match="No such file or directory; create its folder first"):
        await KeyFile(path.parent / "nowhere" / "keys.json").add(key_laws.key("b"))
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyFileError, match="cannot be written: No space left on device"):
        await KeyFile(path).add(key_laws.key("b"))
    assert path.read_bytes() == before
    assert not path.with_name("keys.json.new").exists()


async def test_a_file_has_a_bound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that would make it too large to be read is not added."""
    monkeypatch.setattr(key_file, "KEYS", 2)
    await KeyFile(path).add(key_laws.key("b"))
    with pytest.raises(ValueError, match="has 2 keys, which is the most"):
        await KeyFile(path).add(key_laws.key("c"))
    monkeypatch.setattr(key_file, "KEYS", 100)
    monkeypatch.setattr(key_file, "KEY_FILE_BYTES", path.stat().st_size + 10)
    with pytest.raises(ValueError, match="would have more than"):
        await KeyFile(path).add(key_laws.key("c"))
    assert [record.id for record in await KeyFile(path).all()] == ["a", "b"]


def test_its_repr_has_its_path_and_no_keys(path: Path) -> None:
    keys = KeyFile(path)
    keys.load()
    assert repr(keys) == f"KeyFile({str(path)!r})"


def test_a_record_is_what_the_file_says(path: Path) -> None:
    """What may be left out is the narrow or the usual value."""
    keys = KeyFile(path)
    keys.load()
    assert asyncio.run(keys.all()) == [KeyRecord("a", bytes(32), "ci", frozenset({"read"}), "", None)]
