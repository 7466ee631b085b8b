"""The event log in a SQLite file.

url          the options of a ``sqlite:`` URL
log          ``SqliteLog``, which puts the other parts together
lock         one process owns the file, and which one
reads        what is read of the events and the list of runs, by both of these
reader       reads a file beside its owner, and writes nothing
place        whether the file is still where its name says
schema       its tables, and bringing an older file to this version
connection   opening it, and a thread that works on one connection
writer       commits windows, several runs in one transaction
queries      reads events and the records of runs
listing      finds runs by what they are listed by, and keeps that up to date
filling      fills what runs are listed by from their events
whole        reads the windows of all runs, and which runs were deleted between them
some         the same of some runs, whatever the log has of others
beside       what is kept beside the events: cached outputs, checkpoints, answers
retention    deletes runs and old events
salvage/     copies what can be read of a damaged file into a new one
"""
