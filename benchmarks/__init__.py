"""Measurements, as ratios against something else in the same run. ``make bench`` prints the table.

The engine, against bare asyncio:

engine          E1, E2, E9: microseconds a task
growth          E3: how the cost of a task grows with the run
memory          E4: what a finished task costs an open run
runs            E5: many runs at once
followed        E6: what a client costs the run it follows
watched         E7: what it costs a run to be watched by many clients
relayed         E10: how much later an event is heard on another node
readers         E8: what subscribers in the same process cost that read the data of every event

Streams, against a queue and ``send()`` per client and against nginx with nchan. Server and load program are processes
of their own:

fanout          S1, S2: events delivered per second
latency         S3: from a task's end to its client
idle            S4: memory per idle stream
stalled         S5: clients that do not read
replay          S6: a run read from the log
reconnect       S7: all clients come back at once
secure          S8: memory per idle stream over TLS

A server that is exposed, alone and in absolute figures (``python -m benchmarks.exposed``):

exposed             storms of clients that ask too much, and what the others notice
exposed_clients     the programs of both kinds of clients
exposed_flows       the workflows of that server

Several nodes on one Redis, in absolute figures (``python -m benchmarks.failover``):

failover            seconds that runs stand still when their node is killed, or drains

What many clients of such nodes are told, while nodes are killed, stopped and cut off (``python -m
benchmarks.histories --rounds 20``). The exit code says whether all held:

histories           rounds of faults, and a history of each that is held to one log

Lists of runs, in absolute figures (``python -m benchmarks.lists``):

lists           a page of 20,000 runs, under every filter, in each log

Spans, against none (``python -m benchmarks.traces``):

traces          what a span costs a task, and that it is nothing without an SDK

Large values, in absolute figures (``python -m benchmarks.large``):

large           what holds the loop, and what grows with the square of a size

The longest that a single request holds the loop, in absolute figures (``python -m benchmarks holds``):

holds               sends the worst requests to each route, and prints how long each held the loop
holds_inputs        those requests
holds_values        the values in their bodies
holds_asked         questions, and the worst answers to them
holds_flows         workflows and runs of that server
holds_server        that server
holds_probe         measures a loop

A server under mixed load for minutes (``python -m benchmarks --soak 600``):

soak            each stream is held against the log, and everything comes back to idle

What it costs to be seen:

metrics         E1 and S1 with metrics and without: a program of its own

Dialects, against the native one:

frames          D1: what the frames of an event cost
sharing         D2: what many clients of one run cost

What they use:

shapes          the graphs that are measured
redis_log       a log in a redis-server of its own, for E9 and E10
workloads       the workflows of the server
messages        the events that the baselines send
server          the server program
baseline        servers in Python to compare with
nchan           nginx with nchan
load            the load program: counts events, checks ids, measures latencies
alike           the load program for any dialect: compares the bytes of its clients
publish         what the load program sends
child           starts programs as processes, and measures them from outside
steps           counts how often the server makes frames
served          one measurement of a stream: a server and its load program
peers           other systems, where they are installed
peer_programs   the programs of those systems
profiles        where the time goes
figure          one measured target
table           the figures as a table
picture         the figures as a picture
"""
