"""One client from its cursor to the end of its run.

replay         the frames of events that are read from the log
snapshot       ``run.state``: the folded state as frames
places         where a client stands in a fold: behind a seq, behind a number of frames, before an opening
follower       a client of a dialect that does not fold
view_follower  a client of a view, or of a dialect that folds
"""
