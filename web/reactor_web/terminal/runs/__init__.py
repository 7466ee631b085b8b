"""The commands about runs that are there already: each is written once, for every place of ``places/``.

commands   the table of them, by name
options    what all of them take, and what they are given
tables     runs and questions as a table for people, lines for programs, JSON
listing    `ls` and `questions`
showing    `show`, `events` and `logs`
exporting  `export`
trace      the events of a run as a Chrome trace
changing   `send`, `cancel`, `pause`, `rm` and `prune`
going_on   `resume` and `retry`: on a server, or here with the file of the workflow
"""
