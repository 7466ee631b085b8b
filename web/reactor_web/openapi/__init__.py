"""The description of the routes that programs read: OpenAPI 3.1, and a page that shows it. Pure: values, no server.

bodies        the bodies of requests as types
answers       those of answers
parameters    what stands in paths, queries and headers
operations    every operation: what it takes, and all that it may answer
document      the document, with the schemas of all events
page          the page
"""
