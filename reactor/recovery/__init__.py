"""How a run that a crash or a restart left open goes on, or ends.

recovery     finds unfinished runs in the log and goes on with them
left         runs that nobody goes on with, child runs that wait for their parents, and how both end
child_runs   opens child runs, which are in the log or not, when their parents ask for them
child_ends   how child runs have ended, for the logs of their parents
child_ids    the id of a child run
origin       what a run was started with, and whether this process can go on with it
upgrade      whether a run can go on in another graph than its own
upgrading    the same for one process: which graph that is, and when
retaking     runs whose log failed, taken up in the same process
reading      which of its tasks have ended, with which outputs, and which must run again
asked        what a task has asked, and what it was sent
retry        a new run that reuses what completed in one that has ended
recorded     the outputs of a child run, from the log of its parent
unattended   what is said to an open run that nobody executes now
leftover     the last events of a run that nobody can go on with
"""
