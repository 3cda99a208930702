"""Figures for Prometheus: their names, and their text (exposition format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One name. A counter begins with 0 when the daemon starts."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...] = ()


UP = Metric("task_queue_up", "gauge", "1 while the daemon runs, 0 once it has stopped in good order")
INFO = Metric("task_queue_info", "gauge", "Always 1; the release is in the label", ("version",))
STARTED = Metric("task_queue_start_time_seconds", "gauge", "When the daemon started, in Unix time")
WRITTEN = Metric("task_queue_written_time_seconds", "gauge", "When this file was written, in Unix time")
STOPPED = Metric("task_queue_stopped", "gauge", "1 while a person has stopped everything")
ACCOUNT_PAUSED = Metric("task_queue_account_paused", "gauge", "1 while nothing starts on the account")
SOURCE_UP = Metric(
    "task_queue_source_up", "gauge", "1 while the folders of the source can be read", ("source",)
)
WAITING = Metric("task_queue_tasks_waiting", "gauge", "Tasks that wait, for whatever reason", ("source",))
RUNNING = Metric("task_queue_tasks_running", "gauge", "Tasks that are claimed", ("source",))
ATTENTION = Metric(
    "task_queue_results_needing_attention",
    "gauge",
    "Results that need a person and are not acknowledged",
    ("source",),
)
ENDED = Metric(
    "task_queue_tasks_ended_total",
    "counter",
    "Tasks that ended since the daemon started",
    ("source", "outcome"),
)
COST = Metric(
    "task_queue_cost_usd_total",
    "counter",
    "Cost of the tasks that ended since the daemon started, over all their attempts, in US dollars",
    ("source",),
)
METRICS = (
    UP,
    INFO,
    STARTED,
    WRITTEN,
    STOPPED,
    ACCOUNT_PAUSED,
    SOURCE_UP,
    WAITING,
    RUNNING,
    ATTENTION,
    ENDED,
    COST,
)
"""In the order of the file."""


@dataclass(frozen=True, slots=True)
class Sample:
    metric: Metric
    value: float
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


def exposition(samples: Iterable[Sample]) -> str:
    """The text of *samples*; a metric without one is left out."""
    found = list(samples)
    lines: list[str] = []
    for metric in METRICS:
        own = [sample for sample in found if sample.metric == metric]
        if own:
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
            lines += map(_line, own)
    return "\n".join(lines) + "\n"


def _line(sample: Sample) -> str:
    pairs = ",".join(f'{name}="{_escaped(sample.labels[name])}"' for name in sample.metric.labels)
    return (
        f"{sample.metric.name}{{{pairs}}} {sample.value!r}"
        if pairs
        else f"{sample.metric.name} {sample.value!r}"
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
