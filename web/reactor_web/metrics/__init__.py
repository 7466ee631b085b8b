"""``/metrics``: what a server has done, and what goes on in it, for Prometheus.

names        every metric: its type, its labels, what it says. docs/metrics.md is held against it
numbers      a histogram, and counts by a bounded label
ends         reads how long a task took, and what it spent, from the JSON of its events
engine_ears  hears of windows, waits, stalls and rewinds of an engine, and counts
stream_ears  hears of streams, resumes, deliveries and refusals of an application, and counts
lag          how late the event loop is
gathered     Metrics: the ears of the engines and the streams that one page shows; what goes on now
families     all of that as the values of prometheus-client
collector    ReactorCollector: for a registry of one's own
page         the page as text or OpenMetrics, with what the process uses

``prometheus_client`` takes 70 ms to import, so only the last three use it; a server imports them on a thread.
"""
