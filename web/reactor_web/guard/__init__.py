"""Who may ask: checks of a request before it is carried out.

cors     which pages of other sites may ask, and what their browser is told
hosts    refuses what a web page of another site could have sent
"""
