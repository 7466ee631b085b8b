"""The event logs. Only what is in the log is ever seen by anybody.

schemes      URL scheme -> log; users can add to it
memory       ``memory://``: the runs of this process, within bounds
stored_run   one run in memory
lists        the list of runs in memory: under what a run is found
removed_runs   which runs the log in memory has deleted
embedded     the small ports in memory, for logs that are not all of them
stores       a log, taken apart into its ports
probing      whether a log that has failed takes windows again
holder       the lease of a log that one process owns
of_tenant    the stores of one tenant: who holds them can name no run of another
health       whether a log can be used at the moment
stops        the mark of a clean stop
digest_key   the key of its digests
records      what logs of every kind read from events
listing      by what they find runs: times, members of meta, open questions
sqlite/      ``sqlite:///path``: a file, one commit for all the windows that are ready
redis/       ``redis://host/0``: a Redis that several processes share

All logs keep the law suites of ``reactor.testing``.
"""
