"""Where the runs are that a command is about: each command is written once, for all of them.

place      ``Place`` and ``Commands``: what is read there and what is done there
finding    which place a command line means: its flags, the environment, what is there
server     a server, by its URL
of_log     what is read from a log of any kind
file       a log file: beside its owner it is read, without one it is written too
writing    an engine on a file that nobody owns, for one command
shared     a log that several processes share, such as Redis
"""
