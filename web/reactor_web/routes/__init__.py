"""The routes under ``/api/v1``: one resource a file. Each but ``starting`` has ``routes()``, which ``app`` mounts.

workflows    definitions, and starting runs of them
tools        the tools that a plan may use
runs         everything under ``/runs``: start, read, follow, command
sessions     what is said in a run: events, and the close of a session
starting     what the routes that start a run share
health       ``/healthz`` and ``/readyz``
"""
