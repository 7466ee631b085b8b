"""What was counted, and what goes on now, as the values that prometheus-client writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from itertools import chain

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from reactor.ports.measured import Kept
from reactor.tenants.figures import Figures
from reactor_web.metrics.gathered import STALLED_SECONDS, Metrics
from reactor_web.metrics.names import METRICS
from reactor_web.metrics.numbers import Histogram

Values = Mapping[tuple[str, ...], float]
"""By the values of the labels."""


def families(metrics: Metrics) -> Iterator[Family]:
    """All metrics, as of now. Each name stands in ``names.METRICS``."""
    figures = metrics.figures()
    yield from chain(
        _of_runs(metrics, figures), _of_tasks(metrics, figures), _of_streams(metrics), _of_log(metrics, figures),
        _of_process(metrics),
    )  # fmt: skip


def empty_families() -> Iterator[Family]:
    """All names, without values: for a registry that wants to know them before."""
    for name in METRICS:
        yield _family(name)


def _of_runs(metrics: Metrics, figures: Iterable[Figures]) -> Iterator[Family]:
    of = metrics.of_engines.by_label.copy()
    yield _values("reactor_runs_started_total", {(label,): of[label].started for label in of})
    yield _values("reactor_runs_total", _ends({label: of[label].runs for label in of}))
    yield _value("reactor_runs_open", sum(found.open_runs for found in figures))
    yield _value("reactor_runs_stranded", sum(found.stranded_runs for found in figures))
    yield _value("reactor_runs_lost", sum(found.lost_runs for found in figures))
    yield _value("reactor_runs_rewound_total", metrics.of_engines.rewound)
    yield _value("reactor_questions_open", metrics.questions())
    yield _values("reactor_cost_total", {(label,): of[label].cost for label in of})
    yield _values("reactor_tokens_total", {(label,): of[label].tokens for label in of})


def _of_tasks(metrics: Metrics, figures: Iterable[Figures]) -> Iterator[Family]:
    of = metrics.of_engines.by_label.copy()
    yield _values("reactor_tasks_total", _ends({label: of[label].tasks for label in of}))
    yield _histograms("reactor_task_seconds", {(label,): of[label].seconds for label in of})
    yield _histograms("reactor_task_wait_seconds", {(): metrics.of_engines.waits})
    yield _values("reactor_retries_total", {(label,): of[label].retries for label in of})
    states = ("idle", "busy", "stuck")
    threads = {(state,): sum(found.threads.get(state, 0) for found in figures) for state in states}
    yield _values("reactor_threads", threads)


def _of_streams(metrics: Metrics) -> Iterator[Family]:
    of = metrics.of_streams
    yield _values("reactor_streams_open", _by(of.open.copy()))
    yield _value("reactor_streams_opened_total", of.opened)
    yield _values("reactor_streams_closed_total", _by(of.closed.copy()))
    yield _values("reactor_recover_total", _by(of.resumes.copy()))
    yield _values("reactor_refused_total", _by(of.refused.copy()))
    yield _value("reactor_stream_bytes_total", 0 if metrics.streams is None else metrics.streams.sent.bytes)
    yield _histograms("reactor_stream_lag_seconds", {(): of.lag})
    yield _value("reactor_stalled_streams", sum(seconds > STALLED_SECONDS for seconds in metrics.waits()))


def _of_log(metrics: Metrics, figures: Iterable[Figures]) -> Iterator[Family]:
    of = metrics.of_engines
    sizes_of_windows = of.window_sizes()
    yield _value("reactor_events_total", sizes_of_windows.sum)
    yield _histograms("reactor_window_events", {(): sizes_of_windows})
    yield _histograms("reactor_append_seconds", {(): of.appends})
    pending = max((found.append_pending_seconds for found in figures), default=0.0)
    yield _value("reactor_append_pending_seconds", pending)
    sizes = [found.log_bytes for found in figures if found.log_bytes is not None]
    if sizes:
        yield _value("reactor_log_bytes", sum(sizes))
    kept = [found.kept for found in figures if found.kept is not None]
    if kept:
        unlimited = any(one == Kept(None, None) for one in kept)
        seconds = min((one.seconds for one in kept if one.seconds is not None), default=0.0)
        runs = min((one.runs for one in kept if one.runs is not None), default=0)
        yield _value("reactor_log_retention_seconds", 0.0 if unlimited else seconds)
        yield _value("reactor_log_retention_runs", 0 if unlimited else runs)


def _of_process(metrics: Metrics) -> Iterator[Family]:
    stalls = {**metrics.of_engines.stalls, "client": metrics.of_streams.stalls}
    yield _values("reactor_stalls_total", _by(stalls))
    yield _histograms("reactor_loop_lag_seconds", {(): metrics.lag.seconds})
    yield _values("reactor_build_info", {(_version(),): 1})


def _version() -> str:
    try:
        return version("reactor-dag")
    except PackageNotFoundError:  # it runs from a folder
        return "unknown"


# --- as the library has them --------------------------------------------------------------------------------------


def _ends(by_label: Mapping[str, Mapping[str, int]]) -> Values:
    """By workflow, and by status, which the type of an event ends in."""
    return {
        (label, type.partition(".")[2]): count for label, counts in by_label.items() for type, count in counts.items()
    }


def _by(counts: Mapping[str, float]) -> Values:
    """The same with its one label as a tuple."""
    return {(label,): count for label, count in counts.items()}


def _family(name: str) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    metric = METRICS[name]
    match metric.type:
        case "counter":
            return CounterMetricFamily(name, metric.help, labels=metric.labels)
        case "gauge":
            return GaugeMetricFamily(name, metric.help, labels=metric.labels)
        case "histogram":
            return HistogramMetricFamily(name, metric.help, labels=metric.labels)


def _value(name: str, value: float) -> Family:
    return _values(name, {(): value})


def _values(name: str, values: Values) -> Family:
    family = _family(name)
    assert not isinstance(family, HistogramMetricFamily), f"{name} is a histogram"
    for labels in sorted(values):
        family.add_metric(labels, values[labels])
    return family


def _histograms(name: str, histograms: Mapping[tuple[str, ...], Histogram]) -> Family:
    family = _family(name)
    assert isinstance(family, HistogramMetricFamily), f"{name} is no histogram"
    for labels in sorted(histograms):
        family.add_metric(labels, histograms[labels].buckets(), histograms[labels].sum)
    return family
