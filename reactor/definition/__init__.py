"""Define: a workflow and its tasks, validated and frozen. Pure; nothing here knows a loop.

workflow, task, options, groups    what a user writes
policy                             how a task is supervised: Retry, Limit, Cache, Budget
graph, binding                     the checked DAG: who waits for whom, which parameter gets what
document, references               the same from JSON (see ``reactor.spec`` and ``reactor.tools``)
"""
