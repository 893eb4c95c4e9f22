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
from .gate import GateReport, Layer
from .manifest import EngineManifest

NOT_RUN = "Built, not run: the gate was computed on the CPU; nothing here says how fast or how exact a GPU is with it."

_SHOWN_LAYERS = 3
_SAFE_HEADROOM = 4


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
    """The whole report for machines: every layer of the gate, and those that lose most, the worst first."""
    gate = built.gate
    return {
        "engine": str(built.path),
        "size_bytes": built.size_bytes,
        "manifest": asdict(built.manifest),
        "passed": gate.passed if gate else None,
        "layers": [_layer(layer) for layer in gate.layers] if gate else [],
        "worst_layers": [layer.name for layer in gate.worst()] if gate else [],
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
    if built.gate is None:
        return [*rows, ("accuracy gate", "none: nothing was converted")]
    return [*rows, *_gate_rows(built.gate), *_headroom_rows(built, built.gate)]


def _built_for(manifest: EngineManifest) -> str:
    return ", ".join(manifest.targets) or f"{manifest.device_name} (compute capability {manifest.compute_capability})"


def _precision(built: BuiltEngine) -> str:
    kept = f"; in float32, as the gate demands: {', '.join(built.kept)}" if built.kept else ""
    audit = f"; {len(built.float32)} float32 tensors in the network" if built.manifest.precision == "fp16" else ""
    return built.manifest.precision + kept + audit


def _gate_rows(gate: GateReport) -> list[tuple[str, str]]:
    return [
        ("accuracy gate", str(gate)),
        ("worst picture", f"{gate.lowest_image}, Dice {gate.lowest_dice:.4f}"),
        (
            "difference",
            f"at most {gate.largest_difference:.3f} of 1, {gate.flipped_share:.4%} of pixels flip",
        ),
        ("loses most", ", ".join(map(str, gate.worst(_SHOWN_LAYERS))) or "no layer"),
    ]


def _headroom_rows(built: BuiltEngine, gate: GateReport) -> list[tuple[str, str]]:
    """How near the values come to the end of FP16, where they are in FP16."""
    layers = [layer for layer in gate.layers if layer.name not in built.kept]
    if built.manifest.precision != "fp16" or not layers:
        return []
    tight = min(layers, key=lambda layer: layer.headroom)
    warning = "; other pictures may go beyond: try more with --gate-data" if tight.headroom < _SAFE_HEADROOM else ""
    text = f"{tight.name}: up to {tight.largest:.4g}, FP16 ends at {tight.headroom:.3g} times that{warning}"
    return [("tightest layer", text)]


def _layer(layer: Layer) -> dict[str, Any]:
    headroom = layer.headroom if layer.largest else None  # JSON has no infinity
    return {**asdict(layer), "headroom": headroom}
