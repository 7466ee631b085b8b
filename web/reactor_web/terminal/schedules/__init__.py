"""`reactor schedule`: each command is written once, for a server, a log file and a shared log.

commands  `ls`, `pause`, `resume` and `trigger`
place     ``SchedulePlace``: what is read and done there, on a server and in a log
here      `trigger` and `resume` with the file of the workflow
shown     schedules as a table for people, lines for programs, JSON
"""
