"""The fixtures that all rooms share."""

from tests.helpers.server import server as server
