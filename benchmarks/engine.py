"""How fast a model runs: every engine and precision that this machine has, with its quality beside its speed.

Each engine has a process of its own in each round, and the engines take turns. A process loads the engine, warms it up
and calls it for a while in each case: 1 to n threads for one call, several pictures in one call, several calls at once.
Pictures go in and masks come out as arrays in the host's memory, so a call includes whatever it takes to get there, and
a GPU is waited for.

Run as ``python -m rt_seg.benchmarks.engine``.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rt_seg.engines.cpu import usable_cores
from rt_seg.engines.load import PACKAGED_MODEL
from rt_seg.engines.model_file import int8_neighbour
from rt_seg.engines.tensorrt.driver import probe_driver
from rt_seg.errors import EngineError, RtSegError

from .engine_calls import DEVICE_STEPS
from .harness.arithmetic import Histogram
from .harness.part import Progress, Rounds, Settings
from .harness.process import call_fresh
from .harness.results import Column, Headline, PartResult, Row, Table, percentile_columns

_BATCH = 4
_MAIN_SECONDS, _OTHER_SECONDS = 0.25, 0.12  # of calls: the first case of a side, and each other one
_REFERENCE = "ONNX Runtime f32"


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


def cases(cores: int, *, quick: bool) -> list[Case]:
    """One thread and all of them, and the powers of two between; then a batch, then a call for each core."""
    threads = sorted({1, cores, *(2**power for power in range(cores.bit_length()) if 2**power <= cores)})
    alone = [Case(number) for number in threads]
    return alone if quick else [*alone, Case(1, batch=_BATCH), *([Case(1, calls=cores)] if cores > 1 else [])]


def find_sides(settings: Settings) -> list[Side]:
    """What could run; whether it does here turns out when it is loaded."""
    path = PACKAGED_MODEL if settings.engine in ("auto", "cpu") else Path(settings.engine)
    if path.suffix != ".onnx":
        return [Side(path.name, "given", "auto", str(path), path.stat().st_size)]
    small = int8_neighbour(path) if int8_neighbour(path).is_file() else path
    files = {"f32": path, "bf16": path, "int8": small}
    kinds = [("OpenVINO", "f32"), ("OpenVINO", "bf16"), ("OpenVINO", "int8")]
    kinds += [("ONNX Runtime", "f32"), ("ONNX Runtime", "int8")]
    sides = [_side(name, precision, files[precision]) for name, precision in kinds]
    if settings.keras is not None:
        sides += [_side("Keras predict", "f32", settings.keras), _side("TensorFlow function", "f32", settings.keras)]
    return sides + ([_side("TensorRT", "fp16", path)] if probe_driver().gpus else [])


def left_out(sides: Sequence[Side]) -> list[str]:
    """Engines that were not even tried, with the reason."""
    kinds = {side.kind for side in sides}
    if "given" in kinds:
        return []
    reasons = {
        "TensorRT": ("TensorRT", "there is no NVIDIA GPU"),
        "Keras predict": (
            "Keras and TensorFlow",
            "they run the .keras file that the model came from; give it by --keras",
        ),
    }
    return [f"{name} not measured: {reason}" for kind, (name, reason) in reasons.items() if kind not in kinds]


def _side(name: str, precision: str, path: Path) -> Side:
    return Side(f"{name} {precision}", name, precision, str(path), path.stat().st_size)


@dataclass(slots=True)
class _Found:
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


def measure(settings: Settings, progress: Progress) -> PartResult:
    """Measure the part; see the module.

    Raises:
        EngineError: Nothing runs here.
    """
    sides, plan = find_sides(settings), cases(usable_cores(), quick=settings.quick)
    rounds = Rounds(settings.seconds, settings.repeats, len(sides), progress)
    found, notes, pictures = _judge(sides, settings, progress)
    rounds.sides = len(found)
    notes += left_out(sides)
    for _ in rounds:
        for one in found:
            rounds.turn(one.side.name)
            for number, cases_of_one in enumerate(processes(one.side, plan)):
                one.add(cases_of_one, _time(one.side, cases_of_one), first=number == 0)
    data = "the data given" if settings.data else "packaged stills and frames"
    notes.append(
        f"mDice over {pictures} pictures with a polyp ({data}): enough to see a broken engine, "
        "not to judge a model; rt-seg evaluate does that"
    )
    name = Path(found[0].side.model).name
    return PartResult(
        name="engine",
        title=f"Engines: {name}, arrays in, masks out",
        tables=(_engines_table(found), _speed_table(found, plan), *_device_tables(found)),
        notes=tuple(notes),
        setup={"model": name, "pictures": pictures},
        headlines=_headlines(found),
        spent=rounds.spent,
    )


def _headlines(found: Sequence[_Found]) -> tuple[Headline, ...]:
    """The fastest engine, one picture a call on one thread."""
    best = max(found, key=lambda one: statistics.median(one.rates[Case(1)])).side.name
    return (Headline(f"pictures/s, {best}, one thread", "engines", best, "rate"),)


def _judge(sides: list[Side], settings: Settings, progress: Progress) -> tuple[list[_Found], list[str], int]:
    found: list[_Found] = []
    notes: list[str] = []
    pictures = 0
    data = [str(folder) for folder in settings.data]
    for side in sides:
        progress.update(0.0, f"{side.name}: masks")
        try:
            answer = call_fresh(
                f"{__package__}.engine_calls:judge_side",
                kind=side.kind,
                precision=side.precision,
                model=side.model,
                data=data,
            )
        except RtSegError as exc:
            notes.append(f"{side.name} not measured: {exc}")
            continue
        pictures = answer["pictures"]
        found.append(_Found(side, answer["mdice"], {}, {}, [], [], {}))
    if not found:
        raise EngineError("no engine runs here: " + "; ".join(notes))
    return found, notes, pictures


def processes(side: Side, plan: Sequence[Case]) -> list[list[Case]]:
    """Cases by process: TensorFlow takes its number of threads once. Keras' `predict` is not thread-safe.

    Within one, those stand together that can be called on the same engine.
    """
    ordered = sorted(plan, key=lambda case: (case.threads, case.calls, case.batch))
    if side.kind not in ("Keras predict", "TensorFlow function"):
        return [ordered]
    mine = [case for case in ordered if case.calls == 1 or side.kind != "Keras predict"]
    return [[case for case in mine if case.threads == number] for number in sorted({case.threads for case in mine})]


def _time(side: Side, plan: Sequence[Case]) -> dict[str, Any]:
    return call_fresh(
        f"{__package__}.engine_calls:time_side",
        kind=side.kind,
        precision=side.precision,
        model=side.model,
        plan=[[case.threads, case.batch, case.calls] for case in plan],
        seconds=[_MAIN_SECONDS, *[_OTHER_SECONDS] * (len(plan) - 1)],
    )


def _engines_table(found: Sequence[_Found]) -> Table:
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


def _engine_row(one: _Found, reference: _Found | None, f32: float | None) -> Row:
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


def _speed_table(found: Sequence[_Found], plan: Sequence[Case]) -> Table:
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


def _device_tables(found: Sequence[_Found]) -> list[Table]:
    """Where a call's time goes on a GPU; no table without one."""
    rows = [
        Row(DEVICE_STEPS[step], f"{one.side.name}, {case.name}", histograms={"time": Histogram.pooled(histograms)})
        for one in found
        for (case, step), histograms in one.device.items()
    ]
    title = "A call on the GPU, by CUDA events"
    return [Table("device", title, percentile_columns("time", digits=3), tuple(rows))] if rows else []


if __name__ == "__main__":
    from .harness.command import run_script

    run_script("engine")
