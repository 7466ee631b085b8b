"""A soak: a server under mixed load for minutes, each stream held against its log, and everything back to idle.

``python -m benchmarks --soak 600`` is the command.

measure     the whole soak: rounds of load, and what the server holds after each
held        what a process holds: memory, descriptors, threads, tasks
flows       the workflows of its server, which ``reactor serve`` loads
client      the program of its clients
operations  what they do, one kind of operation after the other
streams     streams that are read whole or in pieces, in any form
logged      what the log has of a run, read beside the server
picture     memory over time, as SVG
"""
