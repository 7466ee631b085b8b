"""The event log in a Redis that several processes share.

url         the options of a ``redis:``, ``rediss:`` or ``unix:`` URL
log         ``RedisLog``, which puts the other parts together
server      what a Redis must be, and what is wrong with it, in a sentence
connecting  connections, checked and with the functions of the log
functions   the library of functions that Redis executes, from the files in ``lua/``
names       the names of the channels, and what the functions are called with
wire        one connection for many callers, which mends itself
calls       the two connections of a log: what is read does not wait for what is written
windows     a window on its way to Redis and back
ring        the windows that Redis has acknowledged lately
appends     appends windows, and writes again what Redis has lost
index       the list of runs, and taking runs or the oldest events of one away
retention   ended runs, by age and number
order       the windows of several runs in the order of their commits
lease       which runs this process may execute
tickets     how what is limited is asked for, by one of several processes
slots       limits on what runs at once, for all processes together
rates       limits on how often it starts, the same
handover    how runs and commands come from one process to another
inbox       commands to runs, which any process may ask for
schedules   what starts when, for all processes together
relay       the windows that other processes commit
access/     who may ask the servers of all processes, and how much
"""
