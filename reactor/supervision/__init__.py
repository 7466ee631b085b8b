"""What both tasks and runs hold to: limits, time, money, and why a run ends early.

slots       limits on what runs at once and how often it starts; the queue of tasks that are ready to start
stopwatch   time limits that stand still during a wait or a pause
ledger      what a run has spent, against its budget
ending      why a run ends before its tasks have
"""
