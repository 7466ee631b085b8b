"""Workflows and tasks that are defined wrong."""

from __future__ import annotations

from pathlib import Path

from tests.project.mistakes.kinds import run_python
from tests.project.mistakes.section import Section

SETUP = """\
from reactor import *

flow = Workflow("census")


@flow.task
def fetch(root: str = "src") -> list[str]:
    return [root]
"""


def run_definition(row: str, folder: Path) -> str:
    return run_python(SETUP, row, folder, "flow.validate()")


def run_once(row: str, folder: Path) -> str:
    run = """
async with Engine(workflows=[flow]) as engine:
    await (await engine.start(flow, run_id="r1"))
"""
    return run_python(SETUP, row, folder, run)


WORKFLOW = (
    "Workflow('my flow')",
    "Workflow(5)",
    "Workflow('census', 2)",
    "Workflow('census', timeout='60')",
    "Workflow('census', concurrency=0)",
    "Workflow('census', retries=3)",
    "Workflow('empty').validate()",
    "@flow.task\ndef fetch(): ...",
    "@flow.task\ndef run(): ...",
    "flow.task(lambda: 1)",
    "flow.task(fetch, name='use', afer='fetch', retrys=2)",
    "flow.task('fetch')",
    "flow.task(5)",
    "flow.task(fetch())",
    "flow.task(fetch, 'use')",
    "@flow.task(name='two words')\ndef use(): ...",
    "@flow.task(name=5)\ndef use(): ...",
    "flow.validate()\n@flow.task\ndef late(): ...",
    "flow.sequence()",
    "flow.sequence(fetch, 'use')",
    "flow.sequence(fetch, 5)",
    "flow.parallel([fetch])",
    "flow.sequence(fetch, lambda: 1)",
)

PARAMETERS = (
    "@flow.task\ndef use(fecth=None): ...",
    "@flow.task\ndef use(fetch, *more): ...",
    "@flow.task\ndef use(**everything): ...",
    "@flow.task\ndef use(fetch, /): ...",
    "class Steps:\n    @flow.task\n    def use(self): ...",
    "@flow.task\ndef use(when=object()): ...",
    "@flow.task\ndef use(root: int): ...",
    "@flow.task\ndef use(size: 'Nope'): ...",
    "@flow.task\ndef one(two): ...\n@flow.task\ndef two(one): ...",
    "@flow.task\ndef use(use): ...",
    "@flow.task(after=['fetsh'])\ndef use(): ...",
    "@flow.task(after=['nope'])\ndef use(): ...",
    "@flow.task(after=5)\ndef use(): ...",
    "@flow.task(after=len)\ndef use(): ...",
    "@flow.task(after='use')\ndef use(): ...",
    "@flow.task(needs={'raw': 'fetsh'})\ndef use(raw): ...",
    "@flow.task(needs={'rwa': fetch})\ndef use(raw): ...",
    "@flow.task(needs=['fetch'])\ndef use(raw): ...",
    "@flow.task(needs={'raw': 5})\ndef use(raw): ...",
    "@flow.task(needs='fetch')\ndef use(raw): ...",
    "other = Workflow('other')\n@other.task(after=fetch)\ndef use(): ...\nother.validate()",
)

OPTIONS = (
    "@flow.task(retires=3)\ndef use(): ...",
    "@flow.task(retry='3')\ndef use(): ...",
    "@flow.task(retry=0)\ndef use(): ...",
    "@flow.task(retry=True)\ndef use(): ...",
    "Retry(attempts=2.5)",
    "Retry(delay=-1)",
    "Retry(jitter=5)",
    "Retry(retry_on='ValueError')",
    "Retry(retry_on=[ValueError])",
    "Retry(tries=3)",
    "@flow.task(timeout=0)\ndef use(): ...",
    "@flow.task(timeout='30s')\ndef use(): ...",
    "@flow.task(concurrency=0)\ndef use(): ...",
    "@flow.task(executor='proces')\ndef use(): ...",
    "@flow.task(executor='loop')\ndef use(): ...",
    "@flow.task(executor='thread')\nasync def use(): ...",
    "flow.task(lambda: 1, name='use', executor='process')",
    "def make():\n    @flow.task(executor='process')\n    def use(): ...\nmake()",
    "@flow.task(limits=5)\ndef use(): ...",
    "Limit('openai', 0)",
    "Limit('openai', 60, per='minute')",
    "@flow.task(cache=60)\ndef use(): ...",
    "Cache(ttl=0)",
    "Cache(key='root')",
    "@flow.task(on_upstream_failure='ignore')\ndef use(fetch): ...",
    "@flow.task(meta={'made': object()})\ndef use(): ...",
    "@flow.task(meta='x')\ndef use(): ...",
    "@flow.task(when=True)\ndef use(fetch): ...",
    "async def ready(fetch): ...\n@flow.task(when=ready)\ndef use(): ...",
    "@flow.task(map=True)\ndef use(fetch): ...",
    "@flow.task(map='fetsh')\ndef use(fetch): ...",
    "@flow.task(map='fetch')\ndef use(item): ...",
    "@flow.task(map={})\ndef use(fetch): ...",
    "@flow.task(map={'fetch': 'fetch', 'b': 'fetch'})\ndef use(fetch, b): ...",
    "@flow.task(map=['fetch'])\ndef use(fetch): ...",
)

BODIES = (
    "@flow.task\ndef use():\n    yield 1",
    "@flow.task\nasync def use():\n    yield 1",
    "@flow.task\ndef use():\n    import asyncio\n    return asyncio.sleep(1)",
    "@flow.task\ndef use(fetch) -> int:\n    return 'abc'",
    "@flow.task\ndef use(fetch) -> list[int]:\n    return fetch",
    "@flow.task\ndef count() -> int:\n    return 3\n@flow.task(map='count')\ndef use(count): ...",
    "@flow.task\ndef use(item): ...",
    "@flow.task\ndef use(fetcch): ...",
    "@flow.task(limits='openai')\ndef use(): ...",
    "@flow.task\nclass Use:\n    def __call__(self, fetch): ...",
    "@flow.task\n@property\ndef use(self): ...",
)

SECTIONS = (
    Section("Workflows", "The error comes at once, or from `flow.validate()`.", run_definition, WORKFLOW, SETUP),
    Section("Parameters and upstreams", "In the same workflow.", run_definition, PARAMETERS),
    Section("Options of a task", "In the same workflow.", run_definition, OPTIONS),
    Section("Bodies", "In the same workflow, which is run.", run_once, BODIES),
)
