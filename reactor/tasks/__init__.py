"""One task is one observable, from its upstreams to its end.

scope        what all the others see of their run
past         what the log says of the tasks after a restart
actor        waits for its upstreams; writes its last event, completes, tells its dependents
starting     whether the body has to run at all, and the slots it takes first
condition    ``when=``: whether it runs
cache_key    ``cache=``: the key of its output
cache        ``cache=``: the outputs that runs keep for each other
body         runs a body, and says how it ended
child        runs the body for one item of a map
mapped       a task that fans out into children
arguments    what a body is given
attempts     what the Context of a body shows of its attempt
running      one attempt: its job in an executor, its timeout, its slots
observable   a body that returns an Observable
voice        what the body's Context says and asks, done on the loop
sampling     progress and text, written at a pace
asking       the questions of one attempt: asked, answered, expired, withdrawn
mailbox      the questions of the task, and the values that were sent to it
outputs      what a completed task hands on
turns        long work on the loop, a few milliseconds at a time
"""
