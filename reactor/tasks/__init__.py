"""Run: one task is one observable, from its upstreams to its end.

    actor                 waits for its upstreams; writes its last event, completes, tells its dependents
    starting              whether the body has to run at all, and the slots it takes first
    body, child, mapped   runs a body; the same for one item of a map; a task that fans out into children
    running, observable   one attempt: its job in an executor, its timeout; a body that returns an Observable
    voice                 what the body's Context says and asks, done on the loop

What they use: ``arguments`` and ``attempts`` (what a body is given), ``condition``, ``cache_key`` and ``cache``,
``outputs``, ``sampling`` (paced progress and chunks), ``mailbox`` (values sent to the task), ``past`` (what a log says
after a restart). ``scope`` is what all of them see of their run.
"""
