"""Engines and plans that are made wrong."""

from __future__ import annotations

from pathlib import Path

from tests.project.mistakes.kinds import run_python
from tests.project.mistakes.section import Section

SETUP = """\
from reactor import *

flow = Workflow("census")
flow.task(lambda: 1, name="fetch")
"""


def run_engine(row: str, folder: Path) -> str:
    (folder / "notes.txt").write_text("no database " * 100)
    return run_python(SETUP, row, folder)


ENGINE = (
    "await Engine(workflows=[flow]).start(flow)",
    "engine = Engine()\nasync with engine: ...\nawait engine.start(flow)",
    "engine = Engine()\nasync with engine: ...\nasync with engine: ...",
    "Engine('redis+cluster://localhost')",
    "Engine('postgres://localhost/runs')",
    "Engine('runs.db')",
    "Engine('sqlite://runs.db')",
    "Engine('sqlite:runs.db')",
    "Engine('sqlite:///runs.db?synchronus=FULL')",
    "Engine('sqlite:///runs.db?synchronous=ON')",
    "Engine('sqlite:///:memory:')",
    "Engine('memory://here')",
    "Engine(5)",
    "Engine(flow)",
    "Engine([flow])",
    "async with Engine('sqlite:///nope/runs.db'): ...",
    "async with Engine('sqlite:///runs.db'):\n    async with Engine('sqlite:///runs.db'): ...",
    "async with Engine('sqlite:///notes.txt'): ...  # a file of text",
    "Engine(workflows='census')",
    "Engine(workflows=[flow.run])",
    "Engine(workflows={'census': flow})",
    "Engine(workflow=flow)",
    "Engine(concurrency=0)",
    "Engine(grace=-1)",
    "Engine(grace='2')",
    "Engine(append_timeout=0)",
    "Engine(window=0)",
    "Engine(resources=5)",
    "Engine(limits={'openai': 60})",
    "Engine(limits=[Limit('openai', 60), Limit('openai', 10)])",
    "Engine(tools=[len])",
    "Engine(services=[5])",
    "flow.task(lambda: 1, name='use', limits='openai')\nEngine(workflows=[flow])",
)

PLAN_SETUP = """\
from reactor import *


@tool
def fetch(url: str, limit: int = 10) -> list[str]:
    return [url] * limit
"""


def run_plan(row: str, folder: Path) -> str:
    return run_python(PLAN_SETUP.replace("@tool", ""), f"tools = [Tool(fetch)]\n{row}", folder)


PLANS = (
    "load_plan([], tools)",
    "load_plan('plan.json', tools)",
    "load_plan({}, tools)",
    "load_plan({'tasks': []}, tools)",
    "load_plan({'task': []}, tools)",
    "load_plan({'tasks': {'id': 'a'}}, tools)",
    "load_plan({'tasks': [{'tool': 'fetch'}]}, tools)",
    "load_plan({'tasks': [{'id': 'a', 'tool': 'fecth'}]}, tools)",
    "load_plan({'tasks': [{'id': 'a', 'tool': 'fetch'}]}, tools)",
    "load_plan({'tasks': [{'id': 'a', 'tool': 'fetch', 'input': {'uri': 'x'}}]}, tools)",
    "load_plan({'tasks': [{'id': 'a', 'tool': 'fetch', 'input': {'url': 5}}]}, tools)",
    "load_plan({'tasks': [{'id': 'a', 'tool': 'fetch', 'input': {'url': '$b'}}]}, tools)",
    "load_plan({'tasks': [{'id': 'a', 'tool': 'fetch', 'input': {'url': '$a'}}]}, tools)",
    "load_plan({'tasks': [{'id': 'a', 'tool': 'fetch', 'input': {'url': '$b.'}}]}, tools)",
    "load_plan({'tasks': [{'id': 'a b', 'tool': 'fetch', 'input': {'url': 'x'}}]}, tools)",
    "load_plan({'tasks': [{'id': 'a', 'tool': 'fetch', 'input': {'url': 'x'}, 'depends_on': ['b']}]}, tools)",
    "load_plan({'tasks': [{'id': 'a', 'tool': 'fetch', 'input': {'url': 'x'}, 'retry': '3'}]}, tools)",
    "load_plan({'tasks': [{'id': 'a', 'tool': 'fetch', 'input': {'url': 'x'}, 'map': 'b'}]}, tools)",
    "load_plan({'tasks': [{'id': 'a', 'tool': 'fetch', 'input': {'url': 'x'}}]}, [fetch])",
    "load_plan({'tasks': [{'id': 'a', 'tool': 'fetch', 'input': {'url': 'x'}}]}, fetch)",
    "@tool(nme='x')\ndef other(): ...",
    "@tool(name='two words')\ndef other(): ...",
    "@tool('other')\ndef other(): ...",
    "@tool\ndef other(at=object()): ...",
    "@tool\ndef other(*urls): ...",
)

SECTIONS = (
    Section("Engines", "", run_engine, ENGINE, SETUP),
    Section("Plans and tools", "", run_plan, PLANS, f"{PLAN_SETUP}\n\ntools = [fetch]\n"),
)
