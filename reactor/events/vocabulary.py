"""The types of the events that the engine itself writes. The set is closed: everything else is from a task body."""

from __future__ import annotations

from typing import Final

TERMINAL: Final = frozenset({"run.completed", "run.failed", "run.cancelled"})
"""The types of the last event of a run; every run ends with exactly one of them."""


VOCABULARY: Final = {
    "run.started": "workflow, version, fingerprint, input, meta, tasks or tasks_ref, total_tasks, budget, parent, "
    "plan (of a DAG that is data), retry_of, not_recoverable (inputs that no log can give back)",
    "run.paused": "reason, by",
    "run.resumed": "reason (recovered: after a crash or a restart, with downtime_ms), by",
    "run.cancelling": "reason, by; error where the run will fail (timeout, budget), because",
    "run.completed": "outputs or outputs_ref, totals, duration_ms, task_time_ms, speedup, cost, tokens",
    "run.failed": "error, reason, totals, duration_ms, task_time_ms, speedup, cost, tokens",
    "run.cancelled": "reason, abandoned, totals, duration_ms, task_time_ms, speedup, cost, tokens",
    "task.started": "executor, index, total, input",
    "task.mapped": "count",
    "task.progress": "fraction, message, level",
    "task.chunk": "text, index",
    "task.spent": "cost, tokens, total_cost, total_tokens, source (spend, llm, child), child_run, tasks (of a child)",
    "task.waiting": "prompt, schema, key; rejected (seqs) and problem of values that were sent before and do not fit",
    "task.received": "value, key",
    "task.retrying": "next_attempt, delay_ms, error, duration_ms",
    "task.cancelling": "reason, by",
    "task.completed": "output, or output_ref, size and preview; duration_ms, cached, recoverable when false, "
    "typed when true (the return annotation restores it)",
    "task.failed": "error {type, message, traceback if enabled}, duration_ms",
    "task.skipped": "reason (upstream_failed, condition, budget), because",
    "task.cancelled": "reason, stop_ms, stopped",
    "log.created": "level, message, fields",
    "llm.call.started": "call, model, estimated_cost",
    "llm.call.completed": "call, model, estimated_cost, status, cost, tokens, is_estimated, error, duration_ms",
    "tool.call.started": "call, tool, arguments",
    "tool.call.completed": "call, tool, arguments, status, result, error, duration_ms",
    "budget.warning": "resource, used, limit, percent",
    "budget.exceeded": "resource, used, limit, percent",
}
"""Type -> the keys of ``data``. Any other type in the log of a run was emitted by a body."""


NOTICES: Final = {
    "run.state": "the folded state, or one of its parts",
    "stream.gap": "from, to, reason: trimmed | ahead",
    "stream.end": "status",
    "stream.closing": "reason, retry_ms",
}
"""Type -> the keys of ``data``, for messages that exist on streams only. They have no seq."""


PROGRESS_LIKE: Final = frozenset({"task.progress"})
"""Types of which only the latest of each task matters, so that a stream may hold back and replace the others."""
