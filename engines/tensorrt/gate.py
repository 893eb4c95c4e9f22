"""The accuracy gate: the model that is going to be built beside the float32 one, on real pictures, before the build."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from rt_seg.engines.masks import dice, threshold_level
from rt_seg.engines.spec import OUTPUT_NAME

from .emulation import FP16_MAX, Tensors, TracedModel, UInt8Array
from .source import float_outputs

LIMITS: Mapping[str, float] = {"fp16": 0.99, "int8": 0.98}
"""mDice against the float32 mask below which nothing is built, by precision."""

_FEW = 5


@dataclass(frozen=True, slots=True)
class GateImage:
    """A picture that the gate runs on.

    Attributes:
        name: For people.
        frame: uint8 ``[height, width, 3]``, BGR, of the model's size.
    """

    name: str
    frame: UInt8Array = field(repr=False)


@dataclass(frozen=True, slots=True)
class Layer:
    """What became of one tensor that the network computes.

    Attributes:
        name: The tensor.
        operator: What computes it, such as ``Conv``.
        largest: Largest magnitude in float32.
        finite: Whether all of it is finite in the lower precision.
        error: Distance from float32 (root mean square), relative to the size of the tensor; infinite if not finite.
        loss: What of `error` arose here: it less the largest error among the inputs.
    """

    name: str
    operator: str
    largest: float
    finite: bool
    error: float
    loss: float

    @property
    def headroom(self) -> float:
        """How many times larger it could be before FP16 is at its end; infinite where all is zero."""
        return FP16_MAX / self.largest if self.largest else np.inf

    def __str__(self) -> str:
        if not self.finite:
            return f"{self.name} ({self.operator}: not finite, up to {self.largest:.3g} in float32)"
        return f"{self.name} ({self.operator}: loses {self.loss:.2%})"


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate measured.

    Attributes:
        limit: The mDice it asks for.
        images: Number of pictures.
        mdice: Mean Dice of the masks against those of float32.
        lowest_dice: That of the picture that fared worst.
        lowest_image: Its name.
        largest_difference: Of any pixel's probability, 0-1.
        flipped_share: Share of pixels on the other side of the threshold, 0-1.
        layers: In the order of the graph.
    """

    limit: float
    images: int
    mdice: float
    lowest_dice: float
    lowest_image: str
    largest_difference: float
    flipped_share: float
    layers: tuple[Layer, ...] = field(repr=False)

    @property
    def passed(self) -> bool:
        """Whether it may be built: near enough to float32, and finite everywhere."""
        return self.mdice >= self.limit and not self.infinite

    @property
    def infinite(self) -> tuple[Layer, ...]:
        """The layers that are not finite everywhere."""
        return tuple(layer for layer in self.layers if not layer.finite)

    @property
    def tightest(self) -> Layer:
        """The layer with the least headroom."""
        return max(self.layers, key=lambda layer: layer.largest)

    def worst(self, count: int = _FEW) -> tuple[Layer, ...]:
        """The layers that lose most: first those that cease to be finite, in the order of the graph."""
        # one whose inputs are infinite already has lost nothing itself: its loss is not a number
        ranked = sorted(self.layers, key=lambda layer: -np.nan_to_num(layer.loss, nan=0.0, posinf=np.inf))
        return tuple(layer for layer in ranked[:count] if layer.loss > 0)

    def figures(self) -> dict[str, float]:
        """All figures by name, for the manifest."""
        return {
            "limit": self.limit,
            "images": self.images,
            "mdice": self.mdice,
            "lowest_dice": self.lowest_dice,
            "largest_difference": self.largest_difference,
            "flipped_share": self.flipped_share,
            "largest_magnitude": self.tightest.largest,
        }

    def __str__(self) -> str:
        of = f"the float32 masks of {self.images} pictures"
        return f"mDice {self.mdice:.4f} against {of}, at least {self.limit} is wanted"


class Gate:
    """Compares a candidate with the float32 model; the answers of the latter are computed anew for each.

    Args:
        reference: The float32 model.
        images: At least one.
        threshold: Probability from which a pixel counts as polyp.
        limit: mDice to ask for.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed.
        ModelError: It cannot run the model.
    """

    def __init__(self, reference: ModelProto, images: Iterable[GateImage], threshold: float, limit: float) -> None:
        self._graph = reference.graph
        self._layers = float_outputs(reference)
        self._reference = TracedModel(reference, list(self._layers))
        self._images = tuple(images)
        self._level = threshold_level(threshold)
        self._limit = limit

    def run(self, candidate: ModelProto) -> GateReport:
        """Measure a candidate: an emulation of FP16, or a Q/DQ model.

        Args:
            candidate: With tensors of the same names; those that it lacks are not compared.

        Raises:
            ModelError: ONNX Runtime cannot run it.
        """
        shared = [name for name in float_outputs(candidate) if name in self._layers]
        traced = TracedModel(candidate, shared)
        traces = {name: _Trace() for name in shared}
        outcomes: list[_Outcome] = []
        for image in self._images:
            expected, found = self._reference.run(image.frame), traced.run(image.frame)
            for name, trace in traces.items():
                trace.add(expected[name], found[name])
            outcomes.append(_compare(image.name, expected, found, self._level))
        return self._report(outcomes, traces)

    def _report(self, outcomes: list["_Outcome"], traces: Mapping[str, "_Trace"]) -> GateReport:
        worst = min(outcomes, key=lambda outcome: outcome.dice)
        return GateReport(
            limit=self._limit,
            images=len(outcomes),
            mdice=float(np.mean([outcome.dice for outcome in outcomes])),
            lowest_dice=worst.dice,
            lowest_image=worst.name,
            largest_difference=max(outcome.largest_difference for outcome in outcomes),
            flipped_share=float(np.mean([outcome.flipped_share for outcome in outcomes])),
            layers=tuple(self._layer(name, traces) for name in traces),
        )

    def _layer(self, name: str, traces: Mapping[str, "_Trace"]) -> Layer:
        node = self._graph.node[self._layers[name]]
        before = max((traces[source].error for source in node.input if source in traces), default=0.0)
        trace = traces[name]
        with np.errstate(invalid="ignore"):
            loss = float(np.subtract(trace.error, before))
        return Layer(name, node.op_type, trace.largest, bool(trace.finite), trace.error, loss)


class _Trace:
    """What is kept of one tensor over all pictures."""

    def __init__(self) -> None:
        self.largest = 0.0
        self.finite = True
        self._difference = 0.0
        self._size = 0.0

    def add(self, expected: npt.NDArray[Any], found: npt.NDArray[Any]) -> None:
        self.largest = max(self.largest, float(np.abs(expected).max()))
        if not np.isfinite(found).all():
            self.finite = False
            return
        self._difference += float(np.square(found - expected, dtype=np.float64).sum())
        self._size += float(np.square(expected, dtype=np.float64).sum())

    @property
    def error(self) -> float:
        if not self.finite:
            return np.inf
        return float(np.sqrt(self._difference / self._size)) if self._size else float(self._difference > 0)


@dataclass(frozen=True, slots=True)
class _Outcome:
    name: str
    dice: float
    largest_difference: float
    flipped_share: float


def _compare(name: str, expected: Tensors, found: Tensors, level: int) -> _Outcome:
    one, other = expected[OUTPUT_NAME][0], found[OUTPUT_NAME][0]
    difference = np.abs(one.astype(np.int16) - other.astype(np.int16))
    flipped = (one >= level) != (other >= level)
    agreement = float(dice(other >= level, one >= level))
    return _Outcome(name, agreement, float(difference.max()) / 255, float(flipped.mean()))
