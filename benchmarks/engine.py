"""How fast a model runs: every engine and precision that this machine has, with its quality beside its speed.

Each engine has a process of its own in each round, and the engines take turns. A process loads the engine, warms it up
and calls it for a while in each case: 1 to n threads for one call, several pictures in one call, several calls at once.
Pictures go in and masks come out as arrays in the host's memory, so a call includes whatever it takes to get there, and
a GPU is waited for.

Run as ``python -m rt_seg.benchmarks.engine``.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rt_seg.engines.cpu import usable_cores
from rt_seg.engines.load import PACKAGED_MODEL
from rt_seg.engines.model_file import int8_neighbour
from rt_seg.engines.tensorrt.driver import probe_driver
from rt_seg.errors import EngineError, RtSegError

from .engine_tables import Case, Found, Side, device_tables, engines_table, headlines, speed_table
from .harness.part import Progress, Rounds, Settings
from .harness.process import Child, call_fresh
from .harness.results import PartResult

_BATCH = 4
_MAIN_SECONDS, _OTHER_SECONDS = 0.17, 0.08  # of calls a round: the first case of a side, and each other one


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
        tables=(engines_table(found), speed_table(found, plan), *device_tables(found)),
        notes=tuple(notes),
        setup={"model": name, "pictures": pictures},
        headlines=headlines(found),
        spent=rounds.spent,
    )


def _judge(sides: list[Side], settings: Settings, progress: Progress) -> tuple[list[Found], list[str], int]:
    found: list[Found] = []
    notes: list[str] = []
    errors: dict[str, RtSegError] = {}
    pictures = 0
    cores = usable_cores()
    # nothing is timed here: so many at once as there are cores take less time
    for first in range(0, len(sides), cores):
        some = sides[first : first + cores]
        progress.update(0.0, f"judging masks, {first + len(some)} of {len(sides)}")
        with ExitStack() as stack:
            for side, child in [(side, stack.enter_context(_start_to_judge(side, settings))) for side in some]:
                try:
                    answer = child.result()
                except RtSegError as exc:
                    errors[str(exc)] = exc
                    notes.append(f"{side.name} not measured: {exc}")
                else:
                    pictures = answer["pictures"]
                    found.append(Found(side, answer["mdice"], {}, {}, [], [], {}))
    if not found and len(errors) == 1:
        raise next(iter(errors.values()))
    if not found:
        raise EngineError("no engine runs here: " + "; ".join(notes))
    return found, notes, pictures


def _start_to_judge(side: Side, settings: Settings) -> Child:
    return Child(
        f"{__package__}.engine_judge:judge_side",
        kind=side.kind,
        precision=side.precision,
        model=side.model,
        data=[str(folder) for folder in settings.data],
    )


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


if __name__ == "__main__":
    from .harness.command import run_script

    run_script("engine")
