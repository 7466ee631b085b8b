"""The routes under ``/api/v1``: one resource a file. Each has ``routes()``, which ``app`` mounts, but ``starting``,
``listing``, ``past`` and ``methods``.

workflows    definitions, and starting runs of them
tools        the tools that a plan may use
runs         ``/runs``: start, read, remove
past         the state of a run at a seq
listing      what a list of runs is asked for
questions    ``/questions``: what all runs wait for
commands     what can be asked of an open run: cancel, pause, resume, input, emit, retry
events       ``/runs/{id}/events``: follow a run, or read pages of its events
all_events   ``/events``: the events of all runs
socket       ``/runs/{id}/ws``: its events and commands on one WebSocket
tickets      ``/stream-tickets``: what opens a stream whose client can send no header
schedules    ``/schedules``: what starts runs at which times
whoami       ``/whoami``: who asks, and what they may do
sessions     what is said in a run: events, and the close of a session
methods      what holds for all of them: OPTIONS, and 406
starting     what the routes that start a run share
client       ``/client/{file}``: the modules of the JavaScript client
health       ``/healthz`` and ``/readyz``
diagnosis    ``/diagnosis``: what ``reactor doctor`` looks at
metrics      ``/metrics``, for Prometheus
problem_pages  ``/problems``: what the codes of refusals mean
openapi      ``/openapi.json``, and a page that shows it
"""
