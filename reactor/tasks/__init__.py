"""Run: one observable a task.

actor                  waits for its upstreams, ends once, tells those who wait for it
body, mapped           an actor that runs a body; one that fans out into many
condition, cached      whether the body has to run at all
arguments, running     what it gets; one attempt of it while it runs
drafts                 the JSON of what the engine says of it
"""
