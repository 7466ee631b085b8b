"""Which files have changed."""

from __future__ import annotations

import os
from pathlib import Path

from reactor_web.terminal.reload.files import Files, stamp_of


def test_an_edit_a_replacement_and_a_deletion_are_changes(tmp_path: Path) -> None:
    """Also where the text is as long as before; a file that appears counts once it is known."""
    names = ("kept", "edited", "replaced", "deleted", "new")
    kept, edited, replaced, deleted, new = paths = [tmp_path / name for name in names]
    for path in paths[:4]:
        path.write_text("1")
    files = Files()
    files.add({path: stamp_of(path) for path in paths})
    assert files.changed() == []
    edited.write_text("2")
    os.utime(edited, ns=(1, 1))  # an editor may be quicker than the clock of the file system
    (tmp_path / "beside").write_text("1")
    (tmp_path / "beside").replace(replaced)
    deleted.unlink()
    new.write_text("1")
    assert files.changed() == [edited, replaced, deleted, new]
    files.begin()
    assert files.changed() == []
    kept.touch()
    assert files.changed() in ([], [kept])  # the same text at another time: it may be another


def test_what_was_changed_before_the_server_began_is_no_change(tmp_path: Path) -> None:
    """``add`` never takes what is known as it is now."""
    file = tmp_path / "file"
    file.write_text("1")
    files = Files()
    files.add({file: stamp_of(file)})
    file.write_text("12")
    files.add({file: stamp_of(file)})
    assert files.changed() == [file]


def test_folders_that_are_gone_are_not_watched(tmp_path: Path) -> None:
    """The others are, each once."""
    (tmp_path / "a").mkdir()
    files = Files()
    files.add(dict.fromkeys([tmp_path / "a" / "one", tmp_path / "a" / "two", tmp_path / "gone" / "three"]))
    assert files.folders == {tmp_path / "a"}
    assert len(files) == 3
