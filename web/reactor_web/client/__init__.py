"""The Python client. It needs a URL, and nothing of the server.

follow    follow_url: every event of a stream once and in order, across reconnects
asking    requests: who asks, what a refusal raises, when a lost answer is asked for again
run       RemoteRun: the surface of ``reactor.Run``
client    Client: starts and finds runs
sync      SyncClient: the same without ``await``
"""

from reactor_web.client.asking import RequestRefused, ServerUnavailable
from reactor_web.client.client import Client
from reactor_web.client.follow import StreamRefused, StreamUnavailable, follow_url
from reactor_web.client.run import RemoteRun
from reactor_web.client.sync import SyncClient, SyncRun

__all__ = [
    "Client",
    "RemoteRun",
    "RequestRefused",
    "ServerUnavailable",
    "StreamRefused",
    "StreamUnavailable",
    "SyncClient",
    "SyncRun",
    "follow_url",
]
