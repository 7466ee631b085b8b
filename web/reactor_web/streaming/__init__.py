"""One run to many clients, from the pipeline to the response.

fan_out      the share of the loop that writing to clients may take
pipeline/    the events of a run become frames, once for all clients that ask for the same
connection/  one open stream on its connection
streams      all open streams of an application
following/   one client from its cursor to the end of its run
handover     a client that has caught up goes on without its handler
response     the headers of a stream, and what happens when it breaks off
forms/       other forms than the stream of one run
stream       ``stream(request, run)``: the response from its headers to its end
"""
