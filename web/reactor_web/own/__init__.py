"""Routes of one's own: any path, any dialect, any way of starting a run, for clients that exist already.

start      Start: what a function of the host says about a request that starts a run
route      what all of these routes share: the engine, its life, problem documents, the id of the run
refusal    a start that is refused, told in a stream
streams    add_stream: GET a run as a stream
starts     add_start: POST starts a run, and is answered with its stream, its result or its id
batch      the result of a run in the words of a dialect
turns      what a client asks of a chat, and the id of the run that answers it
chat       add_chat: the routes of useChat of the AI SDK
agents     add_agent: POST starts an AG-UI run, or goes on after an interrupt
threads    which runs a thread of AG-UI is
resuming   the answers to interrupts of AG-UI: checked, then carried out
states     add_state: GET where a run is, for clients that ask again and again
"""

from reactor_web.own.agents import add_agent
from reactor_web.own.chat import add_chat
from reactor_web.own.start import Start
from reactor_web.own.starts import add_start
from reactor_web.own.states import add_state
from reactor_web.own.streams import add_stream

__all__ = ["Start", "add_agent", "add_chat", "add_start", "add_state", "add_stream"]
