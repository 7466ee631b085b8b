"""A server under mixed load is ended again and again at random moments; what it did is compared with what it wrote.

``python -m tests.crash --lives 1000`` does by hand what ``test_lives`` does in ``make test``.

oracle      the file in which bodies note each effect, with fsync: what really happened
flows       the workflows of the load
server      one life of the server, which may kill itself at an exact place
answers     what the server has answered to commands: a second file
clients     clients of its streams that note what they were shown, and leave out nothing
stories     what is done to each run from outside
world       one server through all its lives, with its stories and followers
evidence    what all of them left behind, read for the checks
checks      pure functions from the evidence to the faults in it
streams     the same for what followers were shown
running     several worlds side by side
report      what a world did, in numbers, and what was wrong
"""
