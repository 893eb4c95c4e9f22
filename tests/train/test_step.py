"""One step: which weights move, how far, and in which precision."""

from typing import Any

import numpy as np
import pytest

from rt_seg.errors import ModelError
from rt_seg.train.config import TrainingConfig
from rt_seg.train.efficientnet_lite import encoder_layers
from rt_seg.train.frameworks import keras, tf
from rt_seg.train.models import build_model
from rt_seg.train.precision import LossScale, computing_in
from rt_seg.train.step import TrainingStep

pytestmark = pytest.mark.slow


def weights_by_layer(model: Any) -> dict[str, list[np.ndarray]]:
    """All weights, statistics included, by the names of their layers."""
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def test_frozen_levels_stay_and_the_encoder_moves_slower() -> None:
    """Adam's first step is as long as its rate: a tenth of it in the encoder; frozen statistics stay, too."""
    rate = 0.01
    config = TrainingConfig(
        (), "unet-efficientnet-lite0", encoder_weights="none", encoder_rate=0.1, frozen_levels=2, weight_decay=0.0
    )
    keras.utils.set_random_seed(0)
    model, average = (build_model(config.model, 32, "none") for _ in range(2))
    average.set_weights(model.get_weights())
    step = TrainingStep(model, average, config)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 32, 32, 3), np.uint8)
    masks = (rng.random((2, 32, 32, 1)) > 0.7).astype(np.float32)
    before = weights_by_layer(model)
    loss, pixels = step.run(images, masks, rate=rate, average=0.75)
    moved = {
        name: max(float(np.abs(new - old).max()) for new, old in zip(weights, before[name], strict=True))
        for name, weights in weights_by_layer(model).items()
    }
    encoder = {layer.name for layer in encoder_layers(model)}
    frozen = {name for name in encoder if name.startswith(("stem_", "block0_", "block1_", "block2_"))}
    assert {name for name, distance in moved.items() if distance == 0} == frozen
    kernels = [distance for name, distance in moved.items() if name in encoder - frozen and name.endswith("_conv")]
    assert 0.5 * rate < 10 * max(kernels) < 1.01 * rate
    others = [distance for name, distance in moved.items() if name not in encoder and name.endswith("_conv")]
    assert 0.5 * rate < max(others) < 1.01 * rate
    new, old = weights_by_layer(model)["logits"][0], before["logits"][0]
    np.testing.assert_allclose(weights_by_layer(average)["logits"][0], 0.75 * old + 0.25 * new, atol=1e-6)
    assert np.isfinite(loss)
    counts = (pixels.true_positive, pixels.false_positive, pixels.false_negative, pixels.true_negative)
    assert int(sum(counts)) == masks.size
    assert int(counts[0] + counts[2]) == int(masks.sum())


def test_overflow_leaves_the_step_out_and_halves_the_scale() -> None:
    """Gradients of float16 that overflow move nothing; the next good ones arrive unscaled; many of them double it."""
    scale, moved = LossScale(), list[float]()

    def move(gradients: list[list[Any]]) -> None:
        moved.append(float(gradients[0][0]))

    assert bool(scale.apply([[tf.constant(np.inf), tf.constant(1.0)]], move))
    assert moved == []
    assert float(scale.value) == LossScale.FIRST / 2
    assert bool(scale.apply([[tf.constant(3 * LossScale.FIRST / 2)]], move))
    assert moved == [3]
    scale.state[1].assign(LossScale.STEPS_TO_DOUBLE - 1)
    scale.apply([[tf.constant(0.0)]], move)
    assert float(scale.value) == LossScale.FIRST


def test_overflow_without_a_scale_left_ends_the_run() -> None:
    """Where gradients overflow at a scale of 1 there is nothing to halve: training cannot go on."""
    scale = LossScale()
    scale.value.assign(1.0)
    assert not bool(scale.apply([[tf.constant(np.nan)]], lambda _gradients: None))


def test_precision_is_that_of_the_layers_made_inside() -> None:
    """Layers compute in 16 bits with float32 weights, the sigmoid in float32; what is made afterwards is as before."""
    with computing_in("float16"):
        mixed = build_model("unet", 32, base_filters=2)
    assert mixed.get_layer("bottlenecka_conv").compute_dtype == "float16"
    assert {str(weight.dtype) for weight in mixed.weights} == {"float32"}
    assert mixed.output.dtype == "float32"
    assert build_model("unet", 32, base_filters=2).get_layer("bottlenecka_conv").compute_dtype == "float32"
    with pytest.raises(ModelError, match="bfloat16"), computing_in("float8"):
        pass
