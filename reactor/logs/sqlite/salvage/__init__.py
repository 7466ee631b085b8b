"""Copies what can be read of a damaged log into a new file. SQLite itself gives up at the first page that is bad.

copy     ``recover``: from the old file to the new one
whole    how much of one run can be relied on
found    all rows that can be read
cells    the rows of one page
pages    the pages of the file and of its write-ahead log
"""
