"""What a Context in a process shows of its run: the input and the upstreams are sent when the body looks at them.

Each child of a map over 1,000 items has the whole list upstream. If it were sent to each of them, the work of the map
would grow with the square of its items; and few bodies look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from reactor.context.context import Context
from reactor.executors.processes.pipe import PipeLine
from reactor.ports.attempt import Attempt, Upstream


class SeenUpstreams(Mapping[str, Upstream]):
    """``ctx.upstreams`` in a process: each is sent when it is looked up, once. As an output it is an ordinary dict."""

    __slots__ = ("_line", "_seen")

    def __init__(self, names: tuple[str, ...], line: PipeLine) -> None:
        self._line = line
        self._seen: dict[str, Upstream | None] = dict.fromkeys(names)

    def __getitem__(self, name: str) -> Upstream:
        upstream = self._seen[name]
        if upstream is None:
            upstream = self._seen[name] = self._line.look("upstreams", name)
        return upstream

    def __contains__(self, name: object) -> bool:
        return name in self._seen

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen)

    def __len__(self) -> int:
        return len(self._seen)

    def __reduce__(self) -> tuple[Any, ...]:
        return (dict, (dict(self),))

    def __repr__(self) -> str:
        return repr(dict(self))


class ProcessContext(Context):
    """The Context of a body in a process."""

    def __init__(self, attempt: Attempt, line: PipeLine, upstreams: tuple[str, ...]) -> None:
        super().__init__(attempt, line)
        self.upstreams = SeenUpstreams(upstreams, line)
        self._look = line.look
        del self.__dict__["input"]  # ``input`` below is asked instead

    @cached_property
    def input(self) -> Mapping[str, Any]:  # pyright: ignore[reportIncompatibleVariableOverride]  # set when it is read
        """The input of the run."""
        return self._look("input")
