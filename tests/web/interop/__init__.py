"""Each client that others have written follows a run by each route, is cut, comes back, and ends by itself.

- describe     writes ``docs/interop.md``
- law          what holds of all that a client was sent: nothing lost, nothing twice, no phantom
- matrix       the clients, the routes, and what is special where they meet
- network      the server in its process, nginx, and proxies that cut at random bytes
- programs     clients that are programs: scripts of ``tests/node/interop``, Chromium, curl
- python       clients in Python: in a thread each, and a raw WebSocket in the loop
- running      all clients of a route at the same time, from one gate to the next
- seen         what a client has shown so far
- server       the server, in a process of its own
- test_matrix  every cell of the matrix
"""
