"""One open stream on its connection.

client        what it asked for, and why it closes
wire          writes to one client, in order
direct        writes one chunk to the transport of a client that keeps up
compress      a stream that is compressed for its client
event_stream  the response, which bears what a host application does to all of its responses
"""
