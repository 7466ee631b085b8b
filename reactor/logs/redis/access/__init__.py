"""Who may ask the servers of all processes that share a log, and how much.

api_keys     ``RedisKeys``; ``RedisKeyStore``, for who has no log open
tickets      ``RedisTickets``
caps         ``RedisCaps``
revocations  ``RedisRevocations``
place        what they use of their log, while it is open
asking       a call whose caller may go away before it is answered
stores       ``Access``: all of them, of one log
"""
