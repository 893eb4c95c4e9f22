"""What the part `engine` keeps of its rounds, and the tables that it makes of it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .engine_calls import DEVICE_STEPS
from .harness.arithmetic import Histogram
from .harness.results import Column, Headline, Row, Table, percentile_columns

_REFERENCE = "ONNX Runtime f32"
_OURS = ("OpenVINO", "TensorRT", "given")
"""What rt-seg itself runs on; the others are there to compare with."""


@dataclass(frozen=True, slots=True)
class Side:
    """An engine in one precision; `kind` is what `load_side` knows it by."""

    name: str
    kind: str
    precision: str
    model: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Case:
    """How an engine is called: threads for one call, pictures in one call, calls at once."""

    threads: int
    batch: int = 1
    calls: int = 1

    @property
    def name(self) -> str:
        """For people."""
        parts = [f"{self.threads} thread{'s' if self.threads > 1 else ''}"]
        parts += [f"batch {self.batch}"] if self.batch > 1 else []
        parts += [f"{self.calls} calls at once"] if self.calls > 1 else []
        return ", ".join(parts)


@dataclass(slots=True)
class Found:
    """What the rounds have found of a side so far."""

    side: Side
    mdice: float | None
    rates: dict[Case, list[float]]
    counts: dict[Case, list[Histogram]]
    load_seconds: list[float]
    memory_mib: list[float]
    device: dict[tuple[Case, str], list[Histogram]]

    def add(self, plan: Sequence[Case], answer: dict[str, Any], *, first: bool) -> None:
        """Take in what `time_side` returned; load and memory are those of its first case, with one thread."""
        for case, figures in zip(plan, answer["cases"], strict=True):
            self.rates.setdefault(case, []).append(figures["rate"])
            self.counts.setdefault(case, []).append(Histogram(dict(figures["counts"])))
            for name, counts in figures["device_counts"].items():
                self.device.setdefault((case, name), []).append(Histogram(dict(counts)))
        if first:
            self.load_seconds.append(answer["load_seconds"])
            self.memory_mib += [] if answer["memory_mib"] is None else [answer["memory_mib"]]


def engines_table(found: Sequence[Found]) -> Table:
    """A row for each engine."""
    columns = (
        Column("rate", "pictures/s"),  # compared once, in the other table
        Column("ratio", f"times {_REFERENCE}", "", "higher", 2),
        Column("load", "load", "s", "lower", 2),
        Column("memory", "memory", "MiB", "lower", 0),
        Column("size", "file", "MB", digits=1),
        Column("mdice", "mDice", digits=4),
        Column("mdice_change", "against f32", digits=4, signed=True),
    )
    reference = next((one for one in found if one.side.name == _REFERENCE), None)
    f32 = next((one.mdice for one in found if one.side.precision == "f32"), None)
    rows = [_engine_row(one, reference, f32) for one in found]
    return Table("engines", "One picture a call, one thread", columns, tuple(rows))


def _engine_row(one: Found, reference: Found | None, f32: float | None) -> Row:
    case = Case(1)
    values: dict[str, Sequence[float]] = {"rate": one.rates[case], "load": one.load_seconds, "memory": one.memory_mib}
    if reference is not None and reference is not one:
        # each round's own pair: what disturbs a round disturbs both
        values["ratio"] = [mine / theirs for mine, theirs in zip(one.rates[case], reference.rates[case], strict=True)]
    exact: dict[str, float | str] = {"size": one.side.size_bytes / 1e6}
    if one.mdice is not None:
        exact["mdice"] = one.mdice
        exact |= {} if f32 is None else {"mdice_change": one.mdice - f32}
    return Row(one.side.name, values=values, exact=exact)


def speed_table(found: Sequence[Found], plan: Sequence[Case]) -> Table:
    """A row for each case of each engine."""
    columns = (
        Column("rate", "pictures/s", better="higher"),
        *percentile_columns("latency"),
        Column("mdice", "mDice", digits=4),
    )
    rows = [
        Row(
            case.name,
            one.side.name,
            {"rate": one.rates[case]},
            {} if one.mdice is None else {"mdice": one.mdice},
            {"latency": Histogram.pooled(one.counts[case])},
        )
        for one in found
        for case in plan
        if case in one.rates
    ]
    return Table("speed", "Threads, batches, calls at once; latency of a call in ms", columns, tuple(rows))


def device_tables(found: Sequence[Found]) -> list[Table]:
    """Where a call's time goes on a GPU; no table without one."""
    rows = [
        Row(DEVICE_STEPS[step], f"{one.side.name}, {case.name}", histograms={"time": Histogram.pooled(histograms)})
        for one in found
        for (case, step), histograms in one.device.items()
    ]
    title = "A call on the GPU, by CUDA events"
    return [Table("device", title, percentile_columns("time", digits=3), tuple(rows))] if rows else []


def headlines(found: Sequence[Found]) -> tuple[Headline, ...]:
    """The fastest engine that rt-seg runs on, one picture a call on one thread, and how it compares."""
    ours = [one for one in found if one.side.kind in _OURS] or found
    best = max(ours, key=lambda one: statistics.median(one.rates[Case(1)])).side.name
    speed = Headline(f"pictures/s, {best}, one thread", "engines", best, "rate")
    if best == _REFERENCE or _REFERENCE not in [one.side.name for one in found]:
        return (speed,)
    return speed, Headline(f"times {_REFERENCE}, {best}", "engines", best, "ratio")
