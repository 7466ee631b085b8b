"""One client from its cursor to the end of its run.

snapshot       ``run.state``: the folded state as frames
anew           whether a client can go on from its cursor
places         where a client stands in a fold: behind a seq, behind a number of frames, before an opening
follower       a client of a dialect that does not fold
view_follower  a client of a view, or of a dialect that folds
opening        what a client is sent before the first event
coming         a client whose run has not started
"""
