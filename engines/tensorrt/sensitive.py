"""Finds the nodes that have to stay in float32 for an FP16 engine to pass the gate: none, if it can be."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from onnx import ModelProto

from rt_seg.errors import ModelError

from .emulation import FP16_MAX, emulate_fp16
from .fp16 import to_fp16
from .gate import Gate, GateReport, Layer
from .source import float_outputs

MAX_ROUNDS = 6
MAX_KEPT_SHARE = 0.25
"""Share of the layers that may stay in float32: beyond it the engine is no FP16 engine any more."""

_A_ROUND = 3  # layers that are taken up in one round

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Fp16Model:
    """An FP16 model that passed its gate.

    Attributes:
        model: The ONNX.
        kept: Output tensors of the nodes that stay in float32.
        gate: What was measured.
    """

    model: ModelProto
    kept: tuple[str, ...]
    gate: GateReport


def convert_to_fp16(model: ModelProto, gate: Gate, report: Report) -> Fp16Model:
    """Convert a model, and keep in float32 what the gate demands and nothing else.

    Args:
        model: Float32.
        gate: Of that model.
        report: Is told what is tried, one line each.

    Raises:
        ModelError: It does not pass the gate however it is converted; names the layers that lose most.
    """
    return _Search(model, gate, report).run()


class _Search:
    def __init__(self, model: ModelProto, gate: Gate, report: Report) -> None:
        self._model = model
        self._gate = gate
        self._report = report
        self._producers = float_outputs(model)
        self._readers: dict[str, list[str]] = defaultdict(list)
        for name, number in self._producers.items():
            for source in model.graph.node[number].input:
                self._readers[source].append(name)
        self._most = int(len(self._producers) * MAX_KEPT_SHARE)

    def run(self) -> Fp16Model:
        found = first = self._try(())
        for _ in range(MAX_ROUNDS):
            if found.gate.passed:
                return self._reduce(found)
            kept = self._more(found)
            if len(kept) > self._most or len(kept) == len(found.kept):
                break
            found = self._try(kept)
        if found.gate.passed:
            return self._reduce(found)
        raise _refusal(first.gate)

    def _try(self, kept: tuple[str, ...]) -> Fp16Model:
        model = to_fp16(self._model, kept)
        outcome = self._gate.run(emulate_fp16(model))
        self._report(f"gate: {outcome}" + (f"; in float32: {', '.join(kept)}" if kept else ""))
        return Fp16Model(model, kept, outcome)

    def _more(self, found: Fp16Model) -> tuple[str, ...]:
        """What to keep next: all that FP16 cannot hold and whoever reads it; else what loses most, and its sources.

        A value that is read in FP16 is rounded before, so that a node alone in float32 gains nothing.
        """
        beyond = [layer.name for layer in found.gate.layers if layer.largest > FP16_MAX]
        wanted = set(found.kept)
        wanted.update(beyond, *(self._readers[name] for name in beyond))
        if len(wanted) == len(found.kept):
            for layer in found.gate.worst(_A_ROUND):
                wanted.update((layer.name, *self._sources(layer)))
        return tuple(name for name in self._producers if name in wanted)

    def _sources(self, layer: Layer) -> Iterable[str]:
        node = self._model.graph.node[self._producers[layer.name]]
        return (source for source in node.input if source in self._producers)

    def _reduce(self, found: Fp16Model) -> Fp16Model:
        """Return to FP16 whatever the gate does not need in float32."""
        for name in found.kept:
            fewer = self._try(tuple(other for other in found.kept if other != name))
            if fewer.gate.passed:
                found = fewer
        return found


def _refusal(gate: GateReport) -> ModelError:
    infinite = f", {len(gate.infinite)} layers are not finite" if gate.infinite else ""
    layers = ", ".join(map(str, gate.worst()))
    return ModelError(
        f"the FP16 engine would not pass its gate, and nothing was written: {gate}{infinite}; the layers that lose "
        f"most: {layers}; build it with --precision fp32"
    )
