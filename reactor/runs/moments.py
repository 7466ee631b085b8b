"""The part of a ``Run`` that says how it was: its state at any seq."""

from __future__ import annotations

from reactor.errors import UnknownSeq
from reactor.events.read_only import RunStateView
from reactor.events.state import RunState
from reactor.requests import whole_number_problem
from reactor.stream.feed import Feed
from reactor.waiting import methods_must_be_awaited


@methods_must_be_awaited("run")
class Moments:
    """The past of one run."""

    feed: Feed

    async def state_at(self, seq: int) -> RunState:
        """The state after the event ``seq``, folded from the log; read-only. ``copy()`` can be folded further.

        Raises ValueError for what is no seq, UnknownSeq where there is no such event yet, or none any more.
        """
        if (problem := whole_number_problem(seq, 1)) is not None:
            raise ValueError(f"the seq of a state {problem}")
        run_id = self.feed.run_id
        if seq > self.feed.last_seq:  # another process may have written it
            last = await self.feed.catch_up()
            if seq > last:
                sentence = f"run {run_id} has {last} events so far: there is no state at {seq} yet"
                raise UnknownSeq(sentence, run_id=run_id, seq=seq, first=None)
        state = await self.feed.state_at(seq)
        if state.seq != seq:
            sentence = (
                f"the log of run {self.feed.run_id} was trimmed and begins at {state.seq}: its state at {seq} is gone"
            )
            raise UnknownSeq(sentence, run_id=run_id, seq=seq, first=state.seq)
        return RunStateView(state)
