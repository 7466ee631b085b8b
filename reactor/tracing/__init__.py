"""Spans of runs, attempts and calls for OpenTelemetry. Nothing here is imported from it until an SDK is found.

keys         which span: of a run, of an attempt, of a call; and its id, which follows from that
spans        events -> spans: a pure fold, which says what every span has
history      the same of the part of a log that another process has written
finding      whether there is anybody to give spans to: an SDK that the process has set up
otel         gives them to it, and makes the span of an attempt the current one for its body
environment  sets up an SDK as the OTEL_* variables say, for ``reactor serve`` and for worker processes
here         where a body runs: the span of its attempt, or of its call, as the current one

A span is made when its end is in the log, with the times of its events, and its id is a digest of what it is of. So the
process that goes on with a run after a crash makes the spans that are missing, and none of those that are there.
"""
