"""Execute: one run while it is open in this process, and the handle its owner has on it.

beginning             what the run begins with
execution             its parts, put together; how it starts, goes on after a restart, and ends
crew                  its actors, and the queue of those that are ready
journal               what it writes: number, commit, publish, seal     commits: who waits for a commit
control, time_limits  pause, resume, cancel, send; timeout and wall time
limits, spending      slots and rates of its bodies; money, tokens and its budget
children, parent      child runs, and how a run and its child runs see each other
summary               its terminal event
run                   the handle: follow it, await it, control it
open_runs             all runs that are open, and the last that ended
draining              the end of an engine: what becomes of open runs
host                  what the engine lends to all of them: log, clock, executors, limits
"""
