"""Who may ask: checks of a request that need nothing but the request.

hosts    refuses what a web page of another site could have sent
"""
