"""One run while it is open in this process, and the handle its owner has on it.

host          what the engine lends to all runs: log, clock, executors, limits
beginning     what the run begins with
execution     its parts, put together; how it starts, goes on after a restart, and ends
kin           how its parent and its child runs see it
outset        where its actors begin: afresh, or where the log says that they were
crew          its actors, and the queue of those that are ready
outside       what is said of it from outside its bodies; all that a session has
idle          how long nothing was said in a session
journal       what it writes: number, commit, publish, seal
commits       who waits for a commit
control       pause, resume, cancel, send
time_limits   its timeout, and its budget of wall time
leases        which runs this process may execute, where several share a log
limits        slots and rates of its bodies
spending      money, tokens and its budget
children      its child runs
claims        ids of child runs that have not begun
child_records  what its log says of its child runs
tree          the runs below a run, with their open questions
asked         the open questions of all runs
durations     how long runs of a workflow have taken, and their tasks
queries       what an engine says of many runs at once
positions     a reader's place in the log, and what it is told is gone
all_events    the events of all runs, in the order of their commits
tree_events   the events of a run and of those below it, in the order of their commits
tree_watchers  who is told when a run of a tree has published something
parent        how a run and its child runs see each other
summary       its terminal event
outcome       what awaiting a run raises where it did not complete
emitting      the part of the handle that says something in the run
moments       the part of the handle that says how the run was
run           the handle: follow it, await it, control it
session       the handle on a session, which can also be closed
lost          a run whose log failed, and what is needed to go on with it
present       the graph in which it goes on, as its log has it
ended_graphs  which graph an ended run had
awaited       who waits for runs that have not started
feeds         whose events somebody may read
open_runs     all runs that are open, and the last that ended
sessions      opens sessions
dormant       child runs that wait, after a restart, until their parents ask for them
others        what other processes commit
blocked       what is said of a body that held the loop
commands      commands as they travel between nodes, and what each does
inbox         commands to runs of other nodes, and of other nodes to runs here
deleting      taking ended runs out of the log
elsewhere     runs that other processes execute
draining      the end of an engine: what becomes of open runs
"""
