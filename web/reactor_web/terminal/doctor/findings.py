"""What facts mean: each trouble is a sentence that says what is wrong, and one that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from reactor_web.terminal.doctor.facts import Facts, RedisFacts

SLOW_SECONDS: Final = 1.0
"""A commit takes milliseconds."""
LAG_SECONDS: Final = 0.1
SKEW_SECONDS: Final = 5.0
QUESTION_SECONDS: Final = 86_400.0
FREE_SHARE: Final = 0.05
"""What should be free of a disk."""
FULL_SHARE: Final = 0.9
"""How full the memory of a Redis may be: a rewrite of its file needs room, too."""


class Finding(NamedTuple):
    """``name``: of this kind of trouble, for programs."""

    name: str
    wrong: str
    remedy: str


def findings(facts: Facts) -> list[Finding]:
    """What is wrong, the worst first. Empty where nothing is."""
    groups = (_of_the_log, _of_the_runs, _of_who_may_ask, _of_the_process)
    found = [finding for group in groups for finding in group(facts)]
    return found + (list(_of_redis(facts.redis)) if facts.redis is not None else [])


def _of_the_log(facts: Facts) -> Iterator[Finding]:
    if facts.log_problem is not None:
        yield Finding(
            "log-unavailable", f"the log cannot be used ({facts.log_problem})",
            "Runs wait, and go on when it is back. Of a damaged file `reactor recover` saves what it can.",
        )  # fmt: skip
    if facts.append_pending_seconds is not None and facts.append_pending_seconds > SLOW_SECONDS:
        yield Finding(
            "log-slow", f"a commit has been waiting for the log for {facts.append_pending_seconds:.1f} s",
            "Look at the disk of the log: another program that writes, a network file system, a disk that fails.",
        )  # fmt: skip
    if facts.free_bytes is not None and facts.disk_bytes and facts.free_bytes < FREE_SHARE * facts.disk_bytes:
        yield Finding(
            "disk-full",
            f"the disk of the log has {facts.free_bytes / 2**20:,.0f} of {facts.disk_bytes / 2**20:,.0f} MiB left",
            "Make room before it is full: then no run can go on. keep_days= and keep_runs= in --store delete old runs.",
        )
    if facts.is_durable and facts.keeps_all:
        yield Finding(
            "retention-off", "the log keeps every run that has ever ended, so it grows without end",
            "Say what to keep in --store: sqlite:///runs.db?keep_days=30, or &keep_runs=10000.",
        )  # fmt: skip
    if facts.schema is not None and facts.newest_schema is not None and facts.schema < facts.newest_schema:
        yield Finding(
            "old-schema", f"the file has schema {facts.schema}, and this version writes {facts.newest_schema}",
            "The next server that opens it brings it forward, and older versions cannot open it then: copy it before.",
        )  # fmt: skip


def _of_the_runs(facts: Facts) -> Iterator[Finding]:
    if facts.ownerless_runs:
        yield Finding(
            "no-owner", f"{_count(facts.ownerless_runs, 'run')} open in the file, which no server has open",
            "Start `reactor serve FILE --store …` with the workflows of these runs: they go on where they were.",
        )  # fmt: skip
    if facts.stranded_runs:
        yield Finding(
            "stranded-runs", f"{_count(facts.stranded_runs, 'run')} open in the log, and nobody goes on with them",
            "GET /runs?recoverable=false says why each of them is left: register its workflow, or retry or cancel it.",
        )  # fmt: skip
    if facts.stuck_threads:
        yield Finding(
            "stuck-threads", f"{_count(facts.stuck_threads, 'thread')} held by bodies that did not stop when told to",
            "The log lines `abandoned` name their tasks: give what they wait for a timeout, or executor=\"process\".",
        )  # fmt: skip
    late = [question for question in facts.questions if question.seconds > QUESTION_SECONDS]
    if late:
        oldest = max(late, key=lambda question: question.seconds)
        yield Finding(
            "old-questions",
            f"{_count(len(late), 'run')} waiting for answers since long ago; {oldest.run_id} has begun "
            f"{oldest.seconds / 86_400:.0f} days ago",
            "Answer (`reactor send`), or cancel it; a question can have an end of its own (expires=).",
        )


def _of_who_may_ask(facts: Facts) -> Iterator[Finding]:
    if facts.is_open_to_all:
        yield Finding(
            "open-to-all", "whoever reaches the server may do everything: it runs with --insecure and knows no keys",
            "Make a key with `reactor keys add`, give --keys, and drop --insecure.",
        )  # fmt: skip
    if facts.is_forwarded_by_stranger:
        yield Finding(
            "proxy-not-trusted", "a proxy passes requests on that the server does not believe, so all clients are one",
            "Name the address of the proxy with --trusted-proxy, and give --keys: caps then count each client.",
        )  # fmt: skip
    if facts.allows_any_host:
        yield Finding(
            "any-host", "the server answers under any host name, so a page of another site can ask it as its own",
            "Name the hosts under which it is asked with --allow-host, instead of '*'.",
        )  # fmt: skip
    if facts.key_file_problem is not None:
        yield Finding(
            "key-file", f"the keys go on as they were read before, and no change is seen: {facts.key_file_problem}",
            "Repair the file: chmod 600, and owned by the user of the server.",
        )  # fmt: skip


def _of_the_process(facts: Facts) -> Iterator[Finding]:
    if facts.is_accepting is False and facts.log_problem is None:
        yield Finding("draining", "the server is ending and takes no more runs", "Wait until the next one has begun.")
    if facts.loop_lag_seconds is not None and facts.loop_lag_seconds > LAG_SECONDS:
        yield Finding(
            "loop-lag", f"the event loop came {facts.loop_lag_seconds * 1000:.0f} ms too late to what was due",
            "Something holds it: the log lines `a body held the event loop` name the task. Make its body `def`.",
        )  # fmt: skip
    if facts.clock_skew_seconds is not None and abs(facts.clock_skew_seconds) > SKEW_SECONDS:
        way = "ahead of" if facts.clock_skew_seconds > 0 else "behind"
        yield Finding(
            "clock-skew", f"the clock of the server is {abs(facts.clock_skew_seconds):.0f} s {way} the clock here",
            "Let both machines follow NTP: keys, JWTs and leases end by the clock.",
        )  # fmt: skip


def _of_redis(redis: RedisFacts) -> Iterator[Finding]:
    if redis.policy != "noeviction":
        yield Finding(
            "redis-evicts", f"Redis throws events away when its memory is full (maxmemory-policy {redis.policy})",
            "Set maxmemory-policy noeviction: no node starts on it otherwise.",
        )  # fmt: skip
    if not redis.appends:
        yield Finding(
            "redis-not-durable", "Redis forgets the last minutes, or everything, when it ends (appendonly no)",
            "Set appendonly yes, and appendfsync everysec or always (docs/cluster.md).",
        )  # fmt: skip
    elif redis.fsync == "no":
        yield Finding(
            "redis-fsync", "Redis leaves it to the system when events reach the disk (appendfsync no)",
            "Set appendfsync everysec or always (docs/cluster.md).",
        )  # fmt: skip
    if redis.max_bytes == 0:
        yield Finding(
            "redis-no-limit", "Redis may take all memory of its machine, and is killed then (maxmemory 0)",
            "Set maxmemory so that a fork has room: at it windows wait, and reading goes on.",
        )  # fmt: skip
    elif redis.used_bytes > FULL_SHARE * redis.max_bytes:
        yield Finding(
            "redis-full", f"Redis uses {redis.used_bytes:,} of the {redis.max_bytes:,} bytes that it may",
            "Raise maxmemory, or bound the log with keep_days= and keep_runs= in --store.",
        )  # fmt: skip


def _count(number: int, what: str) -> str:
    return f"1 {what} is" if number == 1 else f"{number:,} {what}s are"
