"""Server-sent events as bytes. Knows neither runs nor HTTP: no sockets, no loop, no clock.

frames    out: one block from an event name, an id and a line of data
parser    in: blocks from chunks of any size
"""
