"""The dialect ``ai-sdk``: a run as a UI message stream (version 1), which ``useChat`` of the Vercel AI SDK reads.

chunks     the chunks of a run so far: how many, and which parts of the message are open
names      the types of the chunks that are this server's own, and a safe name for those of the application
own        what an application may say in the words of this protocol
questions  what a body asks, and what became of it
tasks      what the engine says of tasks, tools and child runs
dialect    AI_SDK: from an event to its chunks; the beginning and the end of a message
"""

from reactor_web.dialects.ai_sdk.dialect import AI_SDK, CHAT_MESSAGE

__all__ = ["AI_SDK", "CHAT_MESSAGE"]
