"""Finds the nodes that have to stay in float32 for an engine to pass its gate: none, if it can be."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from onnx import ModelProto

from rt_seg.errors import ModelError

from .gate import Gate, GateReport

MAX_ROUNDS = 6
MAX_KEPT_SHARE = 0.25
"""Share of the layers that may stay in float32: beyond it the engine is not of the precision that was asked for."""

Report = Callable[[str], None]


class Conversion(Protocol):
    """A way to write a model in a lower precision."""

    @property
    def name(self) -> str:
        """The precision, as on the command line."""
        ...

    @property
    def layers(self) -> Collection[str]:
        """Output tensors of all nodes that it converts, in the order of the graph."""
        ...

    def make(self, keep: Collection[str]) -> tuple[ModelProto, ModelProto]:
        """The model to build, and the one that shows on a CPU what it computes; the nodes of `keep` in float32."""
        ...

    def demand(self, gate: GateReport) -> Sequence[str]:
        """Layers that should stay in float32 after this outcome, the most urgent first; kept ones may be among them."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """A model that passed its gate.

    Attributes:
        model: The ONNX to build.
        kept: Output tensors of the nodes that stay in float32.
        gate: What was measured.
    """

    model: ModelProto
    kept: tuple[str, ...]
    gate: GateReport


def convert_within_gate(conversion: Conversion, gate: Gate, report: Report) -> Converted:
    """Convert a model, and keep in float32 what the gate demands and nothing else.

    Args:
        conversion: Of the model that the gate refers to.
        gate: Judges.
        report: Is told what is tried, one line each.

    Raises:
        ModelError: It does not pass the gate; names the layers that lose most.
    """
    search = _Search(conversion, gate, report)
    return search.run()


class _Search:
    def __init__(self, conversion: Conversion, gate: Gate, report: Report) -> None:
        self._conversion = conversion
        self._gate = gate
        self._report = report
        self._most = int(len(conversion.layers) * MAX_KEPT_SHARE)

    def run(self) -> Converted:
        found = first = self._try(())
        for _ in range(MAX_ROUNDS):
            if found.gate.passed:
                return self._reduce(found)
            more = [name for name in self._conversion.demand(found.gate) if name not in found.kept]
            if not more or len(found.kept) >= self._most:
                break
            wanted = {*found.kept, *more[: self._most - len(found.kept)]}
            found = self._try(tuple(name for name in self._conversion.layers if name in wanted))
        if found.gate.passed:
            return self._reduce(found)
        raise _refusal(self._conversion.name, first.gate)

    def _try(self, kept: tuple[str, ...]) -> Converted:
        model, shown = self._conversion.make(kept)
        outcome = self._gate.run(shown)
        self._report(f"gate: {outcome}" + (f"; in float32: {', '.join(kept)}" if kept else ""))
        return Converted(model, kept, outcome)

    def _reduce(self, found: Converted) -> Converted:
        """Return to the lower precision whatever the gate does not need in float32."""
        for name in found.kept:
            fewer = self._try(tuple(other for other in found.kept if other != name))
            if fewer.gate.passed:
                found = fewer
        return found


def _refusal(precision: str, gate: GateReport) -> ModelError:
    infinite = f", {len(gate.infinite)} layers are not finite" if gate.infinite else ""
    layers = ", ".join(map(str, gate.worst()))
    other = "fp32" if precision == "fp16" else "fp16"
    return ModelError(
        f"the {precision} engine would not pass its accuracy gate, so nothing was written: {gate}{infinite}; the "
        f"layers that lose most: {layers}; build it with --precision {other}"
    )
