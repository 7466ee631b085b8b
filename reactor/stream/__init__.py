"""How a run writes its events, and how others follow them.

merge_tasks   the drafts of all tasks become one stream
pipeline      number, window, append, publish
feed          what is published: the folded state, a ring of recent windows, the hot subject of windows
checkpoints   the state of a run from its log, from the nearest kept state on
moment        the state as JSON, at one moment, a few tasks at a time
relayed       the feed of a run that another process executes
picked        some events of a run, by their seqs, in few reads
follow        a cursor: catch up from the log, then live; as an Observable or an async iterator
live          the hot observables: events from now on
views         each subscriber gets events of its own
task_events   the events of one task, until it has ended
off_loop      following from a thread of one's own
behind        who is still reading when an engine ends
"""
