"""Where bodies run. ``async def`` bodies run on the loop itself; the siblings here take ``def`` bodies."""

from reactor.executors.threads import ThreadExecutor

__all__ = ["ThreadExecutor"]
