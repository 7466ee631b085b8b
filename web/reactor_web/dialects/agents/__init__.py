"""``AGENTS``: a workflow of agents, as a dashboard shows it; each event of a run is a named frame about one agent.

dialect    AGENTS: the opening, the notices and the end of a stream, and what polling clients read
steps      the frames of each of the engine's events
emitted    what the application says in the words of this dialect
state      what is remembered of a run
"""

from reactor_web.dialects.agents.dialect import AGENTS

__all__ = ["AGENTS"]
