"""Wire and control: a run while it is open in this process.

beginning, execution, summary      with what it begins, its wiring, how it ended
commits                            who waits until something is in the log
host, slots                        what runs share: executors and limits; what starts when
control, ending, stopwatch         pause, cancel, input, time limits
ledger, spending, children         budgets; child runs
runs                               all that are open, and the last that ended
"""
