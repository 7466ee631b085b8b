"""The body's side of a run: its ``Context``.

context   what a body can do: emit, receive, run, log, ...
task_log  ctx.log: its log lines, as events
calls     calls of language models and tools, as events
forms     what a received value must look like
schemas   checks JSON against a JSON Schema, in bounded steps
checking  checks a value that was sent, on the loop or beside it
line      carries the calls of a Context to the loop, from the loop itself or from a thread

The run's side is ``tasks.voice``; between the two stands the port ``ports.speech``.
"""
