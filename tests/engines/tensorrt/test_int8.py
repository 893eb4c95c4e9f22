"""int8 by explicit quantisation: where the Q/DQ nodes stand, where ranges come from, and what the gate does with it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from rt_seg.engines.load import PACKAGED_MODEL
from rt_seg.engines.spec import CORE_OUTPUT
from rt_seg.engines.tensorrt.emulation import TracedModel
from rt_seg.engines.tensorrt.gate import Gate
from rt_seg.engines.tensorrt.int8 import Int8Conversion, measure_ranges, neighbour_ranges, quantisable, to_int8
from rt_seg.engines.tensorrt.sensitive import convert_within_gate
from rt_seg.engines.tensorrt.source import read_source
from rt_seg.errors import ModelError

from .networks import write
from .test_fp16 import MILD, pictures, small


def ranges_of(model: ModelProto) -> dict[str, float]:
    """Calibrated on the gate's own pictures: enough for a test."""
    return dict(measure_ranges(model, (picture.frame for picture in pictures())))


def test_quantisation_is_symmetric_and_stands_at_convolutions_only() -> None:
    """int8 with zero point 0, one scale a tensor, one a channel for weights; only convolutions read it."""
    model = small(MILD)
    quantised = to_int8(model, ranges_of(model))
    weights = {item.name: numpy_helper.to_array(item) for item in quantised.graph.initializer}
    readers = {name: item.op_type for item in quantised.graph.node for name in item.input}
    pairs = [item for item in quantised.graph.node if item.op_type == "DequantizeLinear"]
    assert len(pairs) == 2 * 15
    for item in pairs:
        assert readers[item.output[0]] == "Conv"
        assert weights[item.input[2]].dtype == np.int8
        assert not weights[item.input[2]].any()
    assert sum(weights[item.input[1]].ndim for item in pairs) == 15
    assert quantised.graph.node[-1].op_type == "Cast"


def test_weights_are_rounded_to_the_nearest_of_255_levels() -> None:
    """Dequantised weights differ from the original by half a step of their channel at most."""
    model = small(MILD)
    quantised = to_int8(model, ranges_of(model))
    original = numpy_helper.to_array(next(item for item in model.graph.initializer if item.name == "w3"))
    stored = {item.name: numpy_helper.to_array(item) for item in quantised.graph.initializer}
    scale = stored["w3/scale"].reshape(-1, 1, 1, 1)
    assert stored["w3/int8"].dtype == np.int8
    assert np.abs(stored["w3/int8"]).max() == 127
    assert (np.abs(stored["w3/int8"] * scale - original) <= scale / 2 * 1.001).all()


def test_ranges_are_the_largest_magnitudes() -> None:
    """Calibration takes the extremes of what each convolution reads, over all pictures."""
    model = small(MILD)
    traced = TracedModel(model, ["conv2"])
    largest = max(np.abs(traced.run(picture.frame)["conv2"]).max() for picture in pictures())
    assert ranges_of(model)["conv2"] == pytest.approx(largest)


def test_network_passes_its_gate_in_int8() -> None:
    """A network that int8 suits passes whole; its answers differ from float32."""
    model = small(MILD)
    conversion = Int8Conversion(model, ranges_of(model))
    converted = convert_within_gate(conversion, Gate(model, pictures(), 0.5, 0.98), lambda _: None)
    assert converted.kept == ()
    assert 0.98 <= converted.gate.mdice < 1


def test_convolution_that_int8_spoils_stays_in_float32() -> None:
    """One convolution whose range was calibrated far too narrow is kept, and no other."""
    model = small(MILD)
    ranges = {**ranges_of(model), "relu5": 0.01}
    conversion = Int8Conversion(model, ranges)
    converted = convert_within_gate(conversion, Gate(model, pictures(), 0.5, 0.98), lambda _: None)
    assert converted.kept == ("conv6",)


def test_network_that_int8_spoils_is_refused() -> None:
    """Below the gate there is no int8 engine: the message names layers and the precision to take instead."""
    model = small(MILD)
    conversion = Int8Conversion(model, dict.fromkeys(ranges_of(model), 0.01))
    with pytest.raises(ModelError, match=r"int8 engine would not pass its accuracy gate.*conv.*--precision fp16"):
        convert_within_gate(conversion, Gate(model, pictures(), 0.5, 0.98), lambda _: None)


def test_packaged_neighbour_gives_every_range() -> None:
    """The packaged int8 file holds a range for each of the model's convolutions, the ReLU6 ones up to 6."""
    source = read_source(PACKAGED_MODEL)
    ranges = neighbour_ranges(source)
    assert ranges is not None
    convolutions = [item.name for item in source.model.graph.node if item.op_type == "Conv"]
    assert sorted(quantisable(source.model, ranges)) == sorted(convolutions)
    assert ranges["rescale"] == pytest.approx(1, abs=0.02)
    assert 3 < ranges["stem_relu"] <= 6.1
    assert CORE_OUTPUT in {name for item in to_int8(source.model, ranges).graph.node for name in item.output}


def test_neighbour_of_another_model_is_refused(tmp_path: Path) -> None:
    """An int8 file left over from an older training calibrates nothing."""
    path = write(onnx.load(PACKAGED_MODEL), tmp_path / "polyp.onnx")
    assert neighbour_ranges(read_source(path)) is None
    (tmp_path / "polyp.int8.onnx").write_bytes(path.read_bytes())
    with pytest.raises(ModelError, match=r"was not quantised from polyp\.onnx as it is now"):
        neighbour_ranges(read_source(path))
