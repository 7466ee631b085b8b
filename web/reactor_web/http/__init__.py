"""What the handlers of all routes share.

keys          what a handler finds in its application
negotiation   Accept, Accept-Encoding and Prefer of a request
parameters    single parameters of a query
own_options   options that only one dialect has
query         strings of a query or a header -> checked values
serving       what a mount sets of the streams of its routes
settings      what a handler of the application sets of a stream
decoding      JSON of strangers, counted before it is decoded
arriving      bodies while they come: all of them together are bounded
leaving       tells a handler that waits that its client has gone
body          the JSON of a request, and of a response
agent_input   AgentInput: what an AG-UI client sends
traceparent   the trace that a request belongs to
command       a command goes on when its client leaves
passing       headers by which a stream passes caches, proxies and browsers
read_buffer   an idle TLS connection does not keep its read buffer
middleware    only_looks: a middleware that need not see the end of a stream
idempotency   a request with a key is carried out once
prefix        where the routes are mounted
codes         why a request is refused: a code for programs, a page for people
sending       PacedResponse: a response that leaves as fast as its client reads
telling       listeners hear of what is refused
static_files  files of the package: compressed once, asked for again by their ETag
problems      errors -> application/problem+json
result        a run -> JSON
"""
