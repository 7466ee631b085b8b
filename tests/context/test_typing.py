"""What a type checker says of ``ctx.receive``: the type that was asked for comes back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

USER_CODE = """
from typing import Any, assert_type

from pydantic import BaseModel

from reactor import BlockingContext, Context, Engine, Workflow

flow = Workflow("typed")


class Verdict(BaseModel):
    approved: bool


@flow.task
async def on_loop(ctx: Context) -> bool:
    assert_type(await ctx.receive("?", schema=bool), bool)
    assert_type(await ctx.receive("?", schema=Verdict, key="v", timeout=5), Verdict)
    assert_type(await ctx.receive("?", schema={"type": "integer"}), Any)
    assert_type(await ctx.receive("?"), Any)
    return (await ctx.receive("?", schema=Verdict)).approved


@flow.task
def in_thread(ctx: BlockingContext) -> bool:
    assert_type(ctx.receive("?", schema=Verdict), Verdict)
    return ctx.receive("?", schema=bool)


async def forgets(ctx: Context, engine: Engine) -> None:
    if ctx.receive("delete?", schema=bool):  # line 36: no bool
        pass
    engine.cancel("run")  # line 38: a coroutine that nobody awaits
"""


@pytest.mark.slow
def test_the_type_that_was_asked_for_is_the_type_that_comes_back(tmp_path: Path) -> None:
    """On the loop, and with a BlockingContext in a thread; a forgotten await is an error of its line."""
    (tmp_path / "user.py").write_text(USER_CODE)
    (tmp_path / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "extraPaths": [str(ROOT), str(ROOT / "web")]})
    )
    checked = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    problems = json.loads(checked.stdout)["generalDiagnostics"]
    lines = USER_CODE.splitlines()
    found = [(lines[p["range"]["start"]["line"]].strip().split("  #")[0], p.get("rule")) for p in problems]
    assert found == [
        ('if ctx.receive("delete?", schema=bool):', "reportGeneralTypeIssues"),
        ('engine.cancel("run")', "reportUnusedCoroutine"),
    ], problems
