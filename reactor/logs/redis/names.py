"""How a log is told apart from others in the same Redis, and what its functions are called with.

The keys are named in ``lua/keys.lua``, which alone uses them: ``{prefix}:{tenant}:{run}:events`` for what belongs to a
run, ``{prefix}:{tenant}::runs`` to a tenant, ``{prefix}:windows`` to the log.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from reactor.logs.redis.functions import library
from reactor.logs.redis.wire import Part

PREFIX: Final = re.compile(r"[A-Za-z0-9._~-]{1,64}")
"""No ``:``, which stands between the parts of a name."""


class Names(NamedTuple):
    """Of one log."""

    prefix: str
    database: int

    @property
    def channels(self) -> str:
        """The beginning of the channels of its runs. Channels belong to no database, so it is in the name."""
        return f"{self.prefix}.{self.database}"

    def channel(self, run_id: str, tenant: str) -> str:
        """Where the windows of a run are published, each as ``first seq, position, who`` and, behind a
        line end, its events. ``who``: the incarnation that holds the run; empty where none does."""
        return f"{self.channels}:{tenant}:{run_id}"

    def node_channel(self, incarnation: str) -> str:
        """Where one process is told what concerns it alone."""
        return f"{self.channels}!{incarnation}"

    def call(self, function: str, *parts: Part) -> tuple[Part, ...]:
        """The command that calls a function of the log."""
        return ("FCALL", f"{library().name}_{function}", 0, self.prefix, self.channels, *parts)
