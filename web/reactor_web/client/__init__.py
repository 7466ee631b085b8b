"""The Python client. Needs a URL, and nothing of the server.

client         Client: starts runs on a server and finds them
starting       the body of a start
run            RemoteRun: the handle on one run
session        RemoteSession: the handle on a session
schedules      what a client does with schedules
saying         the part of a handle that says something in a run: emit
asking         the part of a client that asks about many runs at once
sync           SyncClient, SyncRun: the same without await
loop_thread    the loop of a SyncClient, in a thread of its own
observables    run.events, run.live, run.task_events
followed       one run as a client knows it: its state, its streams
listed         the runs of a listing
messages       frames as events and notices
connection     the session, requests that are tried again, what is still open
answer         what the server answers to a request, which may be anything
bearer         the token
under_way      what waits for the server, so that closing the client ends it
follow         follow_url: every frame once and in order, across reconnects
errors         what a client raises
"""

from reactor_web.client.client import Client
from reactor_web.client.errors import (
    ClientClosed,
    RequestRefused,
    ServerUnavailable,
    StreamClosed,
    StreamRefused,
    StreamUnavailable,
)
from reactor_web.client.follow import follow_url
from reactor_web.client.listed import ListedRun
from reactor_web.client.run import RemoteRun
from reactor_web.client.session import RemoteSession
from reactor_web.client.sync import SyncClient, SyncRun, SyncSession

__all__ = [
    "Client",
    "ClientClosed",
    "ListedRun",
    "RemoteRun",
    "RemoteSession",
    "RequestRefused",
    "ServerUnavailable",
    "StreamClosed",
    "StreamRefused",
    "StreamUnavailable",
    "SyncClient",
    "SyncRun",
    "SyncSession",
    "follow_url",
]
