"""Every metric: its type, its labels, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple


class Metric(NamedTuple):
    """One of them."""

    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


_RUNS: Final[Mapping[str, Metric]] = {
    "reactor_runs_started_total": Metric("counter", "Runs that began.", ("workflow",)),
    "reactor_runs_total": Metric("counter", "Runs that ended.", ("workflow", "status")),
    "reactor_runs_open": Metric("gauge", "Runs that are executed in this process."),
    "reactor_runs_stranded": Metric("gauge", "Runs that are open in the log and that nobody goes on with here."),
    "reactor_runs_lost": Metric("gauge", "Runs that wait for their log, which failed."),
    "reactor_runs_rewound_total": Metric("counter", "Runs of which a shared log has lost acknowledged events."),
    "reactor_questions_open": Metric("gauge", "Questions of open runs that nobody has answered yet."),
    "reactor_cost_total": Metric("counter", "What runs have spent, in the unit of their budgets.", ("workflow",)),
    "reactor_tokens_total": Metric("counter", "Tokens that runs have spent.", ("workflow",)),
}
_TASKS: Final[Mapping[str, Metric]] = {
    "reactor_tasks_total": Metric("counter", "Tasks, and children of maps, that ended.", ("workflow", "status")),
    "reactor_task_seconds": Metric("histogram", "How long the last attempts of tasks took.", ("workflow",)),
    "reactor_task_wait_seconds": Metric("histogram", "How long bodies waited for a limit before they started."),
    "reactor_retries_total": Metric("counter", "Attempts that failed and were followed by another.", ("workflow",)),
    "reactor_threads": Metric("gauge", "Threads of bodies. Stuck: its body was given up and still runs.", ("state",)),
}
_STREAMS: Final[Mapping[str, Metric]] = {
    "reactor_streams_open": Metric("gauge", "Streams over HTTP that are open.", ("dialect",)),
    "reactor_streams_opened_total": Metric("counter", "Streams that were opened."),
    "reactor_streams_closed_total": Metric("counter", "Streams that were closed.", ("reason",)),
    "reactor_recover_total": Metric("counter", "Streams whose client came back with a cursor.", ("result",)),
    "reactor_refused_total": Metric("counter", "Requests and commands that were refused.", ("code",)),
    "reactor_stream_bytes_total": Metric("counter", "Bytes of frames written to clients, before compression."),
    "reactor_stream_lag_seconds": Metric(
        "histogram", "From the commit of events until they were written to all clients that keep up."
    ),
    "reactor_stalled_streams": Metric("gauge", "Streams whose client has not read for five seconds."),
}
_LOG: Final[Mapping[str, Metric]] = {
    "reactor_events_total": Metric("counter", "Events that were committed."),
    "reactor_window_events": Metric("histogram", "Events that were committed together."),
    "reactor_append_seconds": Metric("histogram", "How long the log took for a window."),
    "reactor_append_pending_seconds": Metric("gauge", "How long the log has been waited for; 0 where it is not."),
    "reactor_log_bytes": Metric("gauge", "Size of the log."),
    "reactor_log_retention_seconds": Metric("gauge", "For how long ended runs are kept; 0 for ever."),
    "reactor_log_retention_runs": Metric("gauge", "How many ended runs are kept; 0 all."),
}
_PROCESS: Final[Mapping[str, Metric]] = {
    "reactor_stalls_total": Metric("counter", "What stood still: the loop, the log, or a client cut off.", ("kind",)),
    "reactor_loop_lag_seconds": Metric("histogram", "How late the event loop is, looked at twice a second."),
    "reactor_build_info": Metric("gauge", "The version that runs; always 1.", ("version",)),
}

ROWS: Final[Mapping[str, Mapping[str, Metric]]] = {
    "runs": _RUNS, "tasks": _TASKS, "streams": _STREAMS, "log": _LOG, "process": _PROCESS,
}  # fmt: skip
"""By what they are about."""
METRICS: Final[Mapping[str, Metric]] = {name: metric for row in ROWS.values() for name, metric in row.items()}
"""All of them, by name."""
