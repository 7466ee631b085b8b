"""The routes under ``/api/v1``: one resource a file. Each but ``starting`` has ``routes()``, which ``app`` mounts.

workflows    definitions, and starting runs of them
tools        the tools that a plan may use
runs         ``/runs``: start, read, command
events       ``/runs/{id}/events``: follow a run, or read pages of its events
starting     what the routes that start a run share
health       ``/healthz`` and ``/readyz``
"""
