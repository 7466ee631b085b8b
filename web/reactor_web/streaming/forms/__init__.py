"""Other forms than the stream of one run.

page           some events of a run, for a client that asks again instead of following
position_page  the same of several runs
tree           several runs in one stream, for one client: a run and all below it, or all runs
observable     any Observable, for one client
socket         the events of a run on a WebSocket, and commands to it
known          what an AG-UI client has already, when it comes back
agent_run      one AG-UI run of a run, for the client that asked for it
"""
