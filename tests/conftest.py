"""The fixtures that all rooms share."""

from tests.helpers.server import serve as serve
from tests.helpers.server import server as server
