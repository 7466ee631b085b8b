"""Measurements, as ratios against something else in the same run. ``make bench`` prints the table.

engine, growth, memory, runs, followed      E1-E6: the engine against bare asyncio
fanout, latency, idle, stalled,             S1-S7: streams, against a queue and ``send()`` per client and nginx +
replay, reconnect                           nchan; server and load program are processes of their own
server, baseline, nchan                     what serves
load                                        what reads: counts events, checks ids, measures latencies
child                                       starts both as processes, and measures them from outside
shapes, workloads                           the graphs, and the workflows of the server
peers                                       other systems, where they are installed
profiles                                    where the time goes
figure, table, picture                      results, as a table, as JSON, as a picture
"""
