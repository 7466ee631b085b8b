"""The servers of all rooms of the web."""

from tests.helpers.server import serve as serve
from tests.helpers.server import server as server
