"""Worker processes, which run one body at a time.

In the engine's process:

executor   gives bodies to workers: idle ones first, else it starts a new one
job        one body: what the engine knows of it, and its calls of the run
spawned    one worker process: its start, its pipe, its end

Between the two:

messages     what goes through the pipe
exceptions   how an exception gets to the other end

In the worker's process:

worker     runs bodies, and interrupts one that is cancelled
bound      it ends with its engine
pipe       its end of the pipe, and the line between a Context and its run
seen       what a Context there shows of the run: it is sent when the body looks at it
"""
