"""What flows through a run: events, and the state that is folded from them. Pure; values in, values out.

plain        plain JSON: the values that JSON carries as they are
one_line     JSON without any character that somebody takes for the end of a line
values       values as text for people
shown        how a value that is not plain JSON is shown
exact        bytes that two values share only if nobody can tell them apart
name_of      a class or a function in such bytes: its name, if others find the same under it
contents     what an object holds, also where its class keeps it from ``pickle``
restoring    outputs and inputs as JSON, and back
in_pieces    the same for large outputs, a few milliseconds at a time
event        Event, its Draft before it has a number, Notice (a message without a number), Window
vocabulary   the types of events that the engine writes
drafts       the data of those events
emitted      events that bodies and sessions emit: their types, and their data as JSON
keyed        the keys of emitted events, in their envelopes, and what a run remembers of them
progress     how the ends of tasks add up to the progress of a run
state        RunState and TaskState
questions    what the tasks of a run wait to be answered
parts        one large JSON object in parts, and the object again
read_only    the same as users see them: views that nobody can change
fold         ``evolve`` makes the state after an event from the state before it
fold_crashes   the part of it about bodies that may have killed their process
fold_upgrade   the part of it about a run that goes on in another graph
fold_spending  the part of it about money, tokens, budgets and child runs
timing       times of events as numbers
"""

from reactor.events.event import Draft, Event, Notice, Window

__all__ = ["Draft", "Event", "Notice", "Window"]
