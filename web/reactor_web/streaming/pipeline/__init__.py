"""The events of a run become frames, once for all clients that ask for the same.

compose     the live pipeline of one set of options: select, throttle, encode, heartbeat
items       what a view may give, and the frame of each
history     the frames of a view, in which a client finds its place by its cursor
kept        copies of the states of folds, from which a client that comes back goes on
view        a pipeline over the events of a run from the first one on: a view, or a dialect that folds
replay      parts of the log as frames, for clients that are behind
ring        the recent frames of a pipeline
piece       frames of a ring, joined and framed once for many clients
channel     one pipeline, its ring, and the clients that share both
channels    which channels of which runs are shared
"""
