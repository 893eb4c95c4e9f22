"""What `rt-seg build-engine` shows: what goes on, on standard error, and at the end what was built."""

from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .build import BuiltEngine
from .flavour import NAMES
from .gate import GateReport
from .manifest import EngineManifest

NOT_RUN = "Built, not run: the gate was computed on the CPU; nothing here says how fast or how exact a GPU is with it."

_SHOWN_LAYERS = 3


class BuildConsole:
    """The display; a context manager. Notes go to standard error, the closing report to standard output."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("")

    def note(self, text: str) -> None:
        """Something that was done or decided, one line."""
        self._console.print(text, markup=False, soft_wrap=True)

    def progress(self, text: str) -> None:
        """What is going on now: beside a spinner, on a terminal only."""
        self._status.update(Text(text))

    def print_report(self, built: BuiltEngine) -> None:
        """Print what was built."""
        table = Table(box=box.SIMPLE, show_header=False, title="engine built", title_justify="left")
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in _rows(built):
            table.add_row(name, Text(value))
        console = Console(highlight=False)
        console.print(table)
        console.print(NOT_RUN, markup=False)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()


def as_dict(built: BuiltEngine) -> dict[str, Any]:
    """The whole report for machines; every figure that is not finite is None."""
    layers = built.gate.worst() if built.gate else ()
    return {
        "engine": str(built.path),
        "size_bytes": built.size_bytes,
        "manifest": asdict(built.manifest),
        "passed": built.gate.passed if built.gate else None,
        "worst_layers": [{"name": item.name, "operator": item.operator, "loss": item.loss} for item in layers],
        "kept_in_float32": list(built.kept),
        "float32_tensors": list(built.float32),
        "run_on_a_gpu": False,
    }


def _rows(built: BuiltEngine) -> list[tuple[str, str]]:
    manifest = built.manifest
    rows = [
        ("file", f"{built.path} ({built.size_bytes / 1e6:.1f} MB)"),
        ("model", f"{manifest.spec.name}, {manifest.spec.width}x{manifest.spec.height}, {manifest.onnx_sha256[:12]}"),
        ("runtime", f"{NAMES[manifest.flavour]} {manifest.version}"),
        ("built for", _built_for(manifest)),
        ("precision", _precision(built)),
        ("batches", ", ".join(map(str, manifest.batches))),
    ]
    return rows + (_gate_rows(built.gate) if built.gate else [("accuracy gate", "none: nothing was converted")])


def _built_for(manifest: EngineManifest) -> str:
    return ", ".join(manifest.targets) or f"{manifest.device_name} (compute capability {manifest.compute_capability})"


def _precision(built: BuiltEngine) -> str:
    kept = f"; in float32, as the gate demands: {', '.join(built.kept)}" if built.kept else ""
    audit = f"; {len(built.float32)} float32 tensors in the network" if built.manifest.precision == "fp16" else ""
    return built.manifest.precision + kept + audit


def _gate_rows(gate: GateReport) -> list[tuple[str, str]]:
    tight = gate.tightest
    return [
        ("accuracy gate", str(gate)),
        ("worst picture", f"{gate.lowest_image}, Dice {gate.lowest_dice:.4f}"),
        (
            "difference",
            f"at most {gate.largest_difference:.3f} of 1, {gate.flipped_share:.4%} of pixels flip",
        ),
        ("tightest layer", f"{tight.name}: up to {tight.largest:.4g}, FP16 ends at {tight.headroom:.3g} times that"),
        ("loses most", ", ".join(map(str, gate.worst(_SHOWN_LAYERS))) or "no layer"),
    ]
