"""The command ``reactor``. Only this room imports typer and rich.

cli         the commands and their options
settings/   flags, the environment and reactor.toml
guarding    who may ask a server: the guard that the flags of `reactor serve` say
given       what was given: files, inputs and values, or a sentence that refuses them
keys        `reactor keys`: adds, lists and revokes keys
key_place   where the keys of a command are: a file, or a log that processes share
doctor/     `reactor doctor`: what is wrong with a server or a log, and what to do
recover     `reactor recover`: copies what can be read of a damaged log
load        finds the workflow of FILE[:WORKFLOW], or of a plan
shown       a run of an engine here, shown to its end
asking      asks on the terminal what a task asks
reload/     `reactor serve --reload`: the server starts again when a file has changed
ending      how a command ends: its exit code, and one sentence for what it could not do
check       `reactor check`: what is wrong with a workflow file or a plan
runs/       the commands about runs that are there: ls, show, events, send, cancel and so on
schedules/  `reactor schedule`: lists, pauses, resumes and triggers what starts runs
places/     where those runs are: a server, a log file, a shared log
serve       one server process from start to drain
admin       the admin port: metrics and health, without a key
accepting   accepts connections, as long as there are descriptors for them
arrivals    connections that have asked nothing yet
memory      what is given back to the system after many streams
turns       the loop of a server, which does a little at a time
watch       shows a run of a server
views       shows a run while it happens: a live tree, plain lines or JSON lines
family      the states of a run and of those below it
tree        a state as a tree of tasks
lines       an event as one line
log_lines   log lines go to stderr, for people or as JSON
seldom      what strangers can cause is not written without end
stdout      stdout is for what was asked for
signals     Ctrl-C and SIGTERM cancel the run that is shown
"""
