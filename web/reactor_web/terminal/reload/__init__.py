"""``reactor serve --reload``: a watcher starts the server as a process, and again when a file has changed.

line      what the server tells its watcher, and what it has from it: the sockets that are listened to
imports   the files of the project that a process has imported
files     which of the files that are known have changed
command   what the flag does; the sentence for an address where nobody can listen
watcher   starts the server, waits for a change, ends it, starts it again
"""
