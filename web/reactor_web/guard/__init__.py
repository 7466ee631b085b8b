"""Who may ask: checks of a request before it is carried out.

hosts    refuses what a web page of another site could have sent
"""
