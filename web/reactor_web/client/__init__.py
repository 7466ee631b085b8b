"""The Python client of a stream. Needs a URL, and nothing of the server.

follow    follow_url: every event once and in order, across reconnects
"""
