"""The dashboard: pages that show runs as they go, and act on them. A client of the public API, like any other.

static_files  what is served, by name: ``static/``, the vendored libraries in it, and the JavaScript client
routes        add_dashboard: where it stands in an application

``static/`` are ES modules without a build step; ``static/vendor/`` are libraries of others, which
``python -m tests.web.dashboard.vendor`` fetches and ``vendored.json`` lists.
"""

from reactor_web.dashboard.routes import add_dashboard

__all__ = ["add_dashboard"]
