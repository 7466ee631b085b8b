"""``AG_UI``: a run as AG-UI 1.0, for ``HttpAgent`` and whatever else speaks it. https://docs.ag-ui.com

dialect     the fold: when an AG-UI run begins, what each event makes in it, when it ends
thread      what the fold remembers, and the messages that more than one event makes
engine      the messages of what the engine writes, by type of event
own         the messages of what the application emits in the vocabulary of AG-UI
shapes      what the members of AG-UI events must be, since clients refuse the whole stream for one that is not
meta        what the run of a thread remembers of the request that started it
quiet       whether a run can only go on with an answer, and the interrupts that ask for it
board       the shared state of the client, and the patches that keep it up to date
patch       applies a JSON Patch (RFC 6902) to a value
"""

from reactor_web.dialects.ag_ui.dialect import AG_UI

__all__ = ["AG_UI"]
