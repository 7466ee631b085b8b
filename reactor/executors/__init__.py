"""Where bodies run.

kinds        the table of executors by name: loop, thread, process
local        ``async def`` bodies, on the loop itself
threads      ``def`` bodies, in threads of our own
careful      holds bodies of a killed run back until the log has what was written before them
processes/   bodies that must be killable, or need a processor of their own
"""
