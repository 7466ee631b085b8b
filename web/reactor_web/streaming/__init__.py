"""One run to many clients, from the pipeline to the response.

compose     the live pipeline of one set of options: select, throttle, encode, heartbeat
replay      the frames of events that are read from the log
items       what a view may give, and the frame of each
history     the frames of a view, in which a client finds its place by its cursor
view        a pipeline of one's own over the events of a run, from the first one on
kept        where a fold begins: with the first event, or with a copy of a state
places      where a client stands in a fold
ring        the recent frames of a pipeline
direct      writes one chunk to the transport of a client that keeps up
channel     one pipeline, its ring, and the clients that share both
channels    which channels of which runs are shared
client      one open stream: what it asked for, and why it closes
streams     all open streams of an application
wire        writes to one client, in order
snapshot    ``run.state``: the folded state as frames
follower    one client from its cursor to the end of its run
view_follower   one client that follows a view
event_stream    the response, which bears what a host application does to all of its responses
compress    the bytes of one client, compressed and flushed with every write
response    the headers of a stream, and what happens when it breaks off
tree        a run and all runs below it, for one client
position_page   the same of several runs
page        some events of a run, for a client that asks again instead of following
observable  any Observable, for one client
handover    a client that has caught up goes on without its handler
socket      the events of a run on a WebSocket, and commands to it
known       what an AG-UI client has already, when it comes back
agent_run   one AG-UI run of a run, for the client that asked for it
stream      ``stream(request, run)``: the response from its headers to its end
"""
