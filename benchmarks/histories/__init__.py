"""Histories of many clients of three nodes on one Redis, while nodes are killed, stopped and cut off, held to one log.

``python -m benchmarks.histories --rounds 20`` is the command; one round is in the tests (``tests/cluster``). What must
be true of a history: ``reactor.testing.check_histories``.

flows       the workflows of the nodes; each body notes that it begins, and where
node        one life of a node: a server, and followers in its process
parts       redis-server and the nodes as processes
network     what lies between a node and Redis, and is cut: a link of a network namespace, or a proxy
faults      what is done to the parts, and when, by a seed
clients     followers that come back to another node, and commands that are asked again there
stories     what is asked of each run
rounds      one round: its history and its figures
"""
