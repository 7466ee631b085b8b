"""Limits and clocks that tasks and runs share.

slots       limits on what runs at once and how often it starts; the queue of tasks that are ready to start
stopwatch   time limits that stand still during a wait or a pause
ledger      what a run has spent, against its budget
totals      what a run counts: its tasks, the bodies that started, the time they took
progress    how much of an open run has ended
isolation   what one body binds in context variables does not reach the next
ending      why a run ends before its tasks have
"""
