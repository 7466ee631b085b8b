"""Runs that are started wrong, bodies that use their Context wrong, and what follows a run."""

from __future__ import annotations

from pathlib import Path

from tests.project.mistakes.kinds import run_body, run_python, run_thread
from tests.project.mistakes.section import Section

SETUP = """\
from reactor import *

flow = Workflow("census")
contexts = []


@flow.task
async def fetch(root: str, ctx: Context, depth: int = 1) -> list[str]:
    contexts.append(ctx)
    return [root]


engine = Engine(workflows=[flow])
"""


def run_start(row: str, folder: Path) -> str:
    lines = "\n".join(f"    {line}" for line in row.splitlines())
    return run_python(SETUP, f"async with engine:\n{lines}", folder)


def run_session(row: str, folder: Path) -> str:
    lines = "\n".join(f"    {line}" for line in row.splitlines())
    opened = (
        "async with engine:\n    session = await engine.session('chat-1')\n"
        "    closed = await engine.session('chat-2')\n    await closed.close()\n"
    )
    return run_python(SETUP, f"{opened}{lines}", folder)


IN_SESSION = (
    "await engine.session('my chat')",
    "await engine.session('chat-1', meta={'user': 'ann'})",
    "await engine.session('chat-3', idle=0)",
    "await engine.session('chat-3', budget={'cost': 1, 'on_exceeded': 'pause'})",
    "await session.emit('run.done', {})",
    "await session.emit('Agent Started')",
    "await session.emit('page.fetched', 5)",
    "await session.emit('page.fetched', {'text': 'x' * 50_000})",
    "await session.emit('page.fetched', task='my task')",
    "await session.emit('page.fetched', {'n': 1}, key='k')\nawait session.emit('page.fetched', {'n': 2}, key='k')",
    "await session.emit_all({'type': 'page.fetched'})",
    "await session.close('done')",
    "await session.pause()",
    "await closed.emit('page.fetched')",
)


def run_sync(row: str, folder: Path) -> str:
    return run_python(SETUP, row, folder)


STARTING = (
    "await engine.start(flow)",
    "await engine.start(flow, {'rooot': 'src'})",
    "await engine.start(flow, {'root': 5})",
    "await engine.start(flow, {'root': 'src', 'depht': 2})",
    "await engine.start(flow, root='src')",
    "await engine.start(flow, 'src')",
    "await engine.start(flow, ['src'])",
    "await engine.start('cencus', {'root': 'src'})",
    "await engine.start(fetch, {'root': 'src'})",
    "await engine.start(None, {'root': 'src'})",
    "await engine.start(flow, {'root': 'src'}, run_id=5)",
    "await engine.start(flow, {'root': 'src'}, run_id='my run')",
    "await engine.start(flow, {'root': 'src'}, run_id='')",
    "await engine.start(flow, {'root': 'src'}, run_id='r1')\nawait engine.start(flow, {'root': 'src'}, run_id='r1')",
    "await engine.ensure(flow, {'root': 'src'}, run_id='r1')\nawait engine.ensure(flow, {'root': 'lib'}, run_id='r1')",
    "await engine.start(flow, {'root': 'src'}, meta='x')",
    "await engine.start(flow, {'root': 'src'}, meta={'at': object()})",
    "await engine.start(flow, {'root': 'src'}, meta={'text': 'x' * 9000})",
    "await engine.start(flow, {'root': 'src'}, budget=5)",
    "await engine.start(flow, {'root': 'src'}, budget={'costs': 5})",
    "await engine.start(flow, {'root': 'src'}, budget={'cost': -1})",
    "await engine.start(flow, {'root': 'src'}, budget={'cost': 5, 'on_exceeded': 'stop'})",
    "Budget(cost='five')",
    "Budget(tokens=1.5)",
    "flow.run({'root': 'src'})",
)

RUN_ONCE = (
    "flow.run(root='src')",
    "flow.run('src')",
    "flow.run()",
)

BODY = (
    "ctx.emit('task.done')",
    "ctx.emit('Page Fetched')",
    "ctx.emit({'url': 'x'})",
    "ctx.emit('page.fetched', 5)",
    "ctx.emit('page.fetched', {'at': object()})",
    "ctx.emit('page.fetched', {'text': 'x' * 60_000})",
    "for number in range(10_000):\n    ctx.emit('page.fetched')",
    "ctx.progress('half')",
    "ctx.chunk(b'text')",
    "ctx.spend(cost=-1)",
    "ctx.spend(tokens=1.5)",
    "ctx.log('loaded')",
    "ctx.log.warn('loaded')",
    "ctx.log.info('loaded', rows=object())",
    "ctx.nope",
    "ctx.resources['db']",
    "async with ctx.llm_call('gpt-x') as call:\n    call.cost = 'much'",
    "async with ctx.llm_call('gpt-x') as call:\n    call.tokens = 1.5",
    "await ctx.receive('approve?', schema={'type': 'nope'})",
    "await ctx.receive('approve?', key='')",
    "await ctx.run('nope')",
    "await ctx.run(flow, key='1')",
    "await ctx.run(job)",
    "await ctx.run(flow, budget=5)",
    "return ctx.emit('page.fetched')",
)

THREAD = ("async def later(): ...\nreturn later()",)


FOLLOWING_SETUP = """\
import asyncio

from reactivex.scheduler.eventloop import AsyncIOScheduler

from reactor.operators import *
"""


def run_following(row: str, folder: Path) -> str:
    lines = "\n".join(f"    {line}" for line in row.splitlines())
    start = "    run = await engine.start(flow, {'root': 'src'}, run_id='r1')\n    await run\n"
    setup = f"{FOLLOWING_SETUP}\n{SETUP}"
    start = f"    loop = AsyncIOScheduler(asyncio.get_running_loop())\n{start}"
    return run_python(setup, f"async with engine:\n{start}{lines}", folder)


FOLLOWING = (
    "run.events.pipe(select(types='task.complted'))",
    "run.events.pipe(select(types='task_completed'))",
    "run.events.pipe(select(types='task.finished*'))",
    "run.events.pipe(select(types=''))",
    "run.events.pipe(select(types=5))",
    "run.events.pipe(select(types=['task.*', 5]))",
    "run.events.pipe(select(tasks=''))",
    "run.events.pipe(select(type='task.*'))",
    "run.events.pipe(select)",
    "run.events.pipe(select(types='task.*'), off_loop())",
    "run.events_after('12')",
    "run.events_after(-1)",
    "run.task_events('fecth')",
    "run.task_events(5)",
    "for event in run: ...",
    "run.task_events('fetch[0]')",
    "run.events.pipe(throttle_latest(0, key=event_key, scheduler=loop))",
    "run.events.pipe(throttle_latest(0.2, key=event_key, scheduler=None))",
    "run.events.pipe(heartbeat('15', 'beat', scheduler=loop))",
    "contexts[0].emit('page.fetched')  # its body has ended",
    "await run.output('fecth')",
    "await run.send('fetch', True)",
    "await run.send(5, True)",
    "await run.cancel(grace='10')",
    "await run.cancel('no longer needed')",
    "await run.pause()",
    "await run.pause(reason=5)",
    "await engine.get('r2')",
    "await engine.list(status='done')",
    "await engine.list(limit=0)",
    "await engine.list(before='r2')",
    "await engine.retry('r2')",
    "await engine.cancel('r1')",
    "engine.workflow('cencus')",
)

IN_BODY = """\
Each stands in a body like this one. `await run` raises RunFailed with the sentence, and the error itself is its cause.

```py
@flow.task
async def job(ctx: Context):
    ...
```
"""

SECTIONS = (
    Section("Starting a run", "Inside of `async with engine:`.", run_start, STARTING, SETUP),
    Section("Running a workflow once", "Without a loop, with the same workflow.", run_sync, RUN_ONCE),
    Section(
        "Sessions",
        "The same, with `session = await engine.session('chat-1')`; `closed` is one that has ended.",
        run_session,
        IN_SESSION,
    ),
    Section("In a body on the loop", IN_BODY, run_body, BODY),
    Section("In a body in a thread", "The same in `def job(ctx: Context):`.", run_thread, THREAD),
    Section(
        "Following and commanding a run",
        "With the workflow and the engine from above, and a run of it that has ended: "
        "`run = await engine.start(flow, {'root': 'src'}, run_id='r1')`. `loop` is the scheduler of the loop.",
        run_following,
        FOLLOWING,
        FOLLOWING_SETUP,
    ),
)
