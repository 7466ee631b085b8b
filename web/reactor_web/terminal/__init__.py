"""The command ``reactor``. Only this room imports typer and rich.

cli         the commands and their options
load        finds the workflow of FILE[:WORKFLOW], or of a plan
remote      watches a run on a server, and sends it values
serve       one server process from start to drain
views       shows a run while it happens: a live tree, plain lines or JSON lines
family      the states of a run and of those below it
tree        a state as a tree of tasks
lines       an event as one line
log_lines   log lines go to stderr
"""
