"""FP16: the conversion, its emulation on a CPU, and the search for what has to stay in float32."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxconverter_common import float16

from rt_seg.engines.load import PACKAGED_MODEL
from rt_seg.engines.spec import CORE_INPUT, CORE_OUTPUT, OUTPUT_NAME
from rt_seg.engines.tensorrt.emulation import FP16_MAX, TracedModel, emulate_fp16
from rt_seg.engines.tensorrt.fp16 import Fp16Conversion, to_fp16
from rt_seg.engines.tensorrt.gate import Gate, GateImage, GateReport
from rt_seg.engines.tensorrt.sensitive import Converted, convert_within_gate
from rt_seg.engines.tensorrt.source import cast_last, read_source, tensor_types
from rt_seg.errors import ModelError

from .networks import convolutions, deployable, node

MILD = (1.0,) * 14
OVERFLOWING = (1.0,) * 5 + (3e6, 1 / 3e6) + (1.0,) * 7


def small(gains: tuple[float, ...]) -> ModelProto:
    """A float32 network of 32x32 in the form that is converted."""
    model = deployable(*convolutions(gains))
    cast_last(model)
    return model


def pictures(count: int = 2, size: int = 32) -> list[GateImage]:
    """Pictures of coarse random structure."""
    coarse = np.random.default_rng(3).integers(0, 256, (count, 4, 4, 3), np.uint8)
    frames = coarse.repeat(size // 4, axis=1).repeat(size // 4, axis=2)
    return [GateImage(f"picture {number}", np.ascontiguousarray(frame)) for number, frame in enumerate(frames)]


def convert(model: ModelProto, notes: list[str] | None = None) -> Converted:
    """Convert within the gate of 0.99."""
    gate = Gate(model, pictures(), 0.5, 0.99)
    return convert_within_gate(Fp16Conversion(model), gate, ([] if notes is None else notes).append)


def run(model: ModelProto, names: list[str]) -> dict[str, np.ndarray]:
    """Tensors of a model for one picture."""
    return dict(TracedModel(model, names).run(pictures()[0].frame))


def test_packaged_model_is_fp16_between_its_uint8_ends() -> None:
    """No float32 tensor is left but what ONNX defines so, the scales of Resize; the Cast to uint8 is the last node."""
    source = read_source(PACKAGED_MODEL)
    model = to_fp16(source.model)
    floats = {name for name, kind in tensor_types(model).items() if kind == TensorProto.FLOAT}
    scales = {item.input[2] for item in model.graph.node if item.op_type == "Resize"}
    assert floats == scales != set()
    assert [model.graph.node[0].op_type, model.graph.node[-1].op_type] == ["Cast", "Cast"]
    assert list(model.graph.node[-1].output) == [OUTPUT_NAME]


def test_moving_the_cast_changes_no_value() -> None:
    """The network with its Cast last answers as the file does."""
    model = deployable(*convolutions(MILD))
    before = run(model, [])[OUTPUT_NAME]
    cast_last(model)
    assert model.graph.node[-1].op_type == "Cast"
    assert np.array_equal(run(model, [])[OUTPUT_NAME], before)
    assert 20 < before.mean() < 235  # an answer that varies


def test_conversion_agrees_with_onnxconverter_common() -> None:
    """Where nothing is kept in float32, both write the same types and the same weights."""
    core, constants = convolutions(MILD)
    values = {name: numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, 32, 32]) for name, channels in
            ((CORE_INPUT, 3), (CORE_OUTPUT, 1))]  # fmt: skip
    graph = helper.make_graph(core, "core", [ends[0]], [ends[1]], list(values.values()))
    plain = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about small weights
        other: ModelProto = float16.convert_float_to_float16(plain, min_positive_val=0.0, max_finite_val=np.inf)
    ours = to_fp16(small(MILD))
    theirs = {item.name: numpy_helper.to_array(item) for item in other.graph.initializer}
    weights = {item.name: numpy_helper.to_array(item) for item in ours.graph.initializer}
    assert all(np.array_equal(weights[f"{name}/fp16"], value) for name, value in theirs.items())
    inner = {name for item in core for name in item.output}
    assert {tensor_types(ours)[name] for name in inner} == {TensorProto.FLOAT16}


def test_emulation_rounds_every_tensor() -> None:
    """Each tensor of the emulation holds FP16 values only, next to but not equal to those of float32."""
    model = small(MILD)
    names = ["unit", "conv0", "conv5", "logits", CORE_OUTPUT]
    exact, emulated = run(model, names), run(emulate_fp16(to_fp16(model)), names)
    for name in names:
        assert emulated[name].dtype == np.float32
        assert np.array_equal(emulated[name], emulated[name].astype(np.float16))
        assert not np.array_equal(emulated[name], exact[name])
        assert np.allclose(emulated[name], exact[name], rtol=0.02, atol=0.01)


def test_emulation_is_infinite_where_fp16_is() -> None:
    """A value of more than 65504 is infinite in the emulation; ONNX Runtime's own FP16 would hide it."""
    emulated = run(emulate_fp16(to_fp16(small(OVERFLOWING))), ["conv4", "conv5"])
    assert np.isfinite(emulated["conv4"]).all()
    assert np.isinf(emulated["conv5"]).any()


def test_kept_node_is_exact_and_its_neighbours_are_not() -> None:
    """A node in float32 computes from rounded inputs, exactly, and the next one reads it rounded."""
    model = to_fp16(small(MILD), ["conv3"])
    types = tensor_types(model)
    assert [types[name] for name in ("relu1", "conv2", "conv3", "conv3/fp16", "relu3")] == [
        TensorProto.FLOAT16, TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.FLOAT16,
    ]  # fmt: skip
    emulated = run(emulate_fp16(model), ["conv2", "conv3"])
    assert np.array_equal(emulated["conv2"], emulated["conv2"].astype(np.float16))
    assert not np.array_equal(emulated["conv3"], emulated["conv3"].astype(np.float16))


def test_nothing_is_rounded_between_kept_nodes() -> None:
    """A value that two kept nodes read stays in float32 on its way to both, so that it may be beyond FP16."""
    core = [
        node("Mul", [CORE_INPUT, "large"], "big"),
        node("Mul", ["big", "small"], "left"),
        node("Mul", ["big", "small"], "right"),
        node("Add", ["left", "right"], "sum"),
        node("Conv", ["sum", "channels"], CORE_OUTPUT),
    ]
    model = deployable(core, {"large": 1000.0, "small": 1e-6, "channels": np.full((1, 3, 1, 1), 1 / 3)})
    emulated = run(emulate_fp16(to_fp16(model, ["big", "left", "right"])), ["big", "sum"])
    assert emulated["big"].max() > FP16_MAX
    assert np.isfinite(emulated["sum"]).all()


def test_mild_network_passes_whole() -> None:
    """The gate keeps nothing in float32 where nothing has to be."""
    notes: list[str] = []
    converted = convert(small(MILD), notes)
    assert converted.kept == ()
    assert len(notes) == 1
    gate = converted.gate
    assert 0.99 <= gate.mdice <= 1
    assert 0 < gate.largest_difference < 0.1
    assert gate.tightest.name == "frames_float"
    assert gate.tightest.headroom == pytest.approx(FP16_MAX / 255)


def test_overflow_is_mended_by_keeping_the_fewest_nodes() -> None:
    """Of a network that overflows in one place, that value's node and its readers stay in float32, and nothing else."""
    notes: list[str] = []
    converted = convert(small(OVERFLOWING), notes)
    assert converted.kept == ("conv5", "relu5", "conv6")
    assert converted.gate.passed
    assert "inf" not in notes[-1]
    assert tensor_types(converted.model)["conv5"] == TensorProto.FLOAT
    assert tensor_types(converted.model)["conv7"] == TensorProto.FLOAT16


def test_network_that_overflows_all_along_is_refused() -> None:
    """What would be float32 for the most part is no FP16 engine: refused, with the layers that lose most."""
    with pytest.raises(ModelError, match=r"would not pass its accuracy gate.*conv1 \(Conv: not finite, up to .*fp32"):
        convert(small((1.0, 1e8, *(1.0,) * 10, 1e-8, 1.0)))


def test_cancellation_is_mended_by_the_source_of_the_loss() -> None:
    """A sum that swallows small numbers stays in float32 with the difference that brings them back."""
    core, constants = convolutions(MILD)
    at = next(place for place, item in enumerate(core) if item.output[0] == "conv7")
    core[at].output[0] = core[at].name = "plain"
    core[at + 1 : at + 1] = [node("Add", ["plain", "offset"], "added"), node("Sub", ["added", "offset"], "conv7")]
    model = deployable(core, {**constants, "offset": 4096.0})
    cast_last(model)
    assert not Gate(model, pictures(), 0.5, 0.99).run(emulate_fp16(to_fp16(model))).passed
    converted = convert(model)
    assert converted.gate.passed
    assert set(converted.kept) == {"added", "conv7"}


def test_every_layer_is_measured() -> None:
    """The gate's layers are the tensors that the network computes in floating point, with their magnitudes."""
    model = small(OVERFLOWING)
    report: GateReport = Gate(model, pictures(), 0.5, 0.99).run(emulate_fp16(to_fp16(model)))
    exact = [run_picture(model, picture, "conv5") for picture in pictures()]
    layer = next(item for item in report.layers if item.name == "conv5")
    assert layer.largest == max(np.abs(values).max() for values in exact)
    assert not layer.finite
    assert report.infinite[0] == layer == report.worst()[0]
    assert not report.passed


def run_picture(model: ModelProto, picture: GateImage, name: str) -> Any:
    """One tensor of a model for one picture."""
    return TracedModel(model, [name]).run(picture.frame)[name]


def test_gate_counts_pixels() -> None:
    """mDice, largest difference and flipped share are those of the two answers, worked out here by hand."""
    model = small(MILD)
    other = onnx.load_from_string(model.SerializeToString())
    levels = next(item for item in other.graph.initializer if item.name == "levels")
    levels.CopyFrom(numpy_helper.from_array(np.array(200, np.float32), "levels"))
    report = Gate(model, pictures(), 0.5, 0.99).run(other)
    answers = [(run(model, []), run(other, [])) for _ in range(1)]
    one, two = (answer[OUTPUT_NAME].astype(int) for answer in answers[0])
    first, second = one >= 128, two >= 128
    dice = 2 * (first & second).sum() / (first.sum() + second.sum())
    assert report.images == 2
    assert min(report.lowest_dice, dice) == report.lowest_dice
    assert report.largest_difference >= np.abs(one - two).max() / 255 > 0.1
    single = Gate(model, pictures()[:1], 0.5, 0.99).run(other)
    assert single.mdice == pytest.approx(dice)
    assert single.flipped_share == pytest.approx((first != second).mean())
    assert single.largest_difference == pytest.approx(np.abs(one - two).max() / 255)


def test_gate_without_onnxruntime_says_how_to_get_it(hide_module: Callable[[str], None]) -> None:
    """The gate is not passed over: without ONNX Runtime nothing is built."""
    hide_module("onnxruntime")
    with pytest.raises(Exception, match=r"pip install"):
        Gate(small(MILD), pictures(), 0.5, 0.99)
