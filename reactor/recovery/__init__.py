"""Recover: what a log says of an open run, and how it goes on or ends.

recovery     looks for unfinished runs, takes them up, retries ended ones
origin       with what a run began, and whether this process can go on with it
past         which tasks have ended, with which outputs; what has to run again
leftover     the end of a run that nobody can go on with
"""
