"""The report of `gpu_acceptance` as Markdown, to attach to an issue."""

from collections.abc import Iterable, Mapping
from typing import Any

_PERCENTILES = ("p50", "p90", "p99", "max")
_KINDS = {
    "h2d": "copy in (H2D)",
    "compute": "compute",
    "d2h": "copy out (D2H)",
    "gpu": "GPU latency (their sum)",
    "end_to_end": "end to end, a call of infer",
}


def write_markdown(figures: Mapping[str, Any]) -> str:
    """All figures of `run_acceptance` as Markdown."""
    verdict = "accepted" if figures["passed"] else "**not accepted**"
    lines = [f"# rt-seg on {figures['machine']['gpu']}: {verdict}", ""]
    lines += _table(("", ""), ((name.replace("_", " "), value) for name, value in figures["machine"].items()))
    lines += _build(figures["build"]) + _parity(figures["parity"])
    for name, latency in figures["latency"].items():
        lines += _latency(name, latency)
    lines += _soak(figures["soak"], figures["reload"])
    return "\n".join(lines) + "\n"


def _build(build: Mapping[str, Any]) -> list[str]:
    gate = ", ".join(f"{name.replace('_', ' ')} {value:.6g}" for name, value in build["gate"].items())
    kept = len(build["kept_in_float32"])
    rows = [
        ("precision", build["precision"]),
        ("batch sizes", ", ".join(map(str, build["batches"]))),
        ("built in", f"{build['seconds']:.1f} s"),
        ("size", f"{build['megabytes']} MB"),
        ("nodes kept in float32", kept),
        ("gate, computed on the CPU", gate or "none in fp32"),
    ]
    return ["## Build", "", *_table(("", ""), rows)]


def _parity(parity: Mapping[str, Any]) -> list[str]:
    rows = [
        ("mDice with the CPU engine (gate)", f"{parity['mdice']:.4f} ({parity['gate']})"),
        ("mDice with the true masks, GPU and CPU", f"{parity['mdice_truth']:.4f} and {parity['mdice_truth_cpu']:.4f}"),
        ("largest difference of a probability", f"{parity['largest_difference']}/255"),
        ("pixels on the other side of the threshold", f"{100 * parity['flipped_pixels']:.4f} %"),
        ("the same frames give the same answer", "yes" if parity["repeats_exactly"] else "no"),
        ("largest difference of batch and single frames", f"{parity['batch_against_single_frames']}/255"),
    ]
    return ["## Parity, on the packaged samples", "", *_table(("", ""), rows)]


def _latency(name: str, latency: Mapping[str, Any]) -> list[str]:
    rows = [
        (title, *(_milliseconds(latency["milliseconds"][kind][percentile]) for percentile in _PERCENTILES))
        for kind, title in _KINDS.items()
    ]
    notes = [f"- {note}" for note in latency["notes"]]
    title = f"## Latency by {name}: {latency['frames']} frames one after the other, milliseconds"
    return [title, "", *_table(("", *_PERCENTILES), rows), *notes, ""]


def _soak(soak: Mapping[str, Any], reload: Mapping[str, Any]) -> list[str]:
    rows = [
        ("frames, threads", f"{soak['frames']}, {soak['threads']}"),
        ("answers that changed", soak["wrong_answers"]),
        ("frames per second", f"{soak['frames_per_second']:.1f}"),
        ("resident memory before and after", _mib(soak["resident_mib"])),
        ("GPU memory in use before and after", _mib(soak["gpu_memory_mib"])),
        ("seconds to load", ", ".join(f"{value:.2f}" for value in reload["load_seconds"])),
        ("GPU memory in use after each close", _mib(reload["gpu_memory_mib_after_close"])),
    ]
    return ["## Soak, and loading again", "", *_table(("", ""), rows)]


def _table(heads: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return [*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows), ""]


def _milliseconds(value: float | None) -> str:
    return "too few frames" if value is None else f"{value:.3f}"


def _mib(values: Iterable[float | None]) -> str:
    return ", ".join("unknown" if value is None else f"{value:.0f} MiB" for value in values)
