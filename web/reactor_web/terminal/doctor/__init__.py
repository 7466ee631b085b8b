"""``reactor doctor``: what is wrong with an installation, and what to do about it.

facts      what was seen: of a server, of a log, from outside
findings   what the facts mean: pure functions
server     asks a server what goes on in it
store      looks at a log itself: at a file beside its owner, at the settings of a Redis
command    the command
"""
