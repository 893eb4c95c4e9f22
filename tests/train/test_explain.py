"""Explanations: Seg-Grad-CAM against its formula, uncertainty against symmetry, and wrong input."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from rt_seg.errors import DataError, ModelError, OutputError
from rt_seg.train.explain import Explainer
from rt_seg.train.explain_files import explain_pictures, find_pictures
from rt_seg.train.frameworks import keras, layers

pytestmark = pytest.mark.slow

QUIET = Console(quiet=True)
SIZE = 16


def network(kernel: np.ndarray, bias: float = 0.0) -> Any:
    """Two feature maps by one convolution, logits = first - 2 * second + bias."""
    image = keras.Input((SIZE, SIZE, 3))
    features = layers.Conv2D(2, kernel.shape[:2], padding="same", use_bias=False, name="features")
    head = layers.Conv2D(1, 1, name="logits")
    model = keras.Model(image, layers.Activation("sigmoid", name="probability")(head(features(image))))
    features.set_weights([kernel])
    head.set_weights([np.array([1.0, -2.0]).reshape(1, 1, 2, 1), np.array([bias])])
    return model


def picture() -> np.ndarray:
    """Noise, uint8 ``[SIZE, SIZE, 3]``."""
    return np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


def pointwise(scale: float = 0.02) -> np.ndarray:
    """A 1x1 kernel: blue feeds the first feature, red the second."""
    kernel = np.zeros((1, 1, 3, 2), np.float32)
    kernel[0, 0, 0, 0] = kernel[0, 0, 2, 1] = scale
    return kernel


@pytest.mark.parametrize(("bias", "target"), [(0.0, "polyp"), (-99.0, "picture")])
def test_map_is_that_of_the_formula(bias: float, target: str) -> None:
    """Channels weighted by the mean gradient of the logits over the predicted polyp, or over all if there is none."""
    image = picture()
    explanation = Explainer(network(pointwise(), bias), "features").explain(image)
    first, second = 0.02 * image[..., 0].astype(float), 0.02 * image[..., 2].astype(float)
    polyp = first - 2 * second + bias > 0
    share = polyp.mean() if polyp.any() else 1.0
    cam = np.maximum(share * first - 2 * share * second, 0)
    assert explanation.target == target
    np.testing.assert_allclose(explanation.grad_cam, cam / cam.max(), atol=1e-5)
    np.testing.assert_allclose(explanation.probability, 1 / (1 + np.exp(-(first - 2 * second + bias))), atol=1e-5)


def test_network_that_turns_along_is_certain() -> None:
    """A network that sees single pixels gives the same for every flip and turn."""
    assert Explainer(network(pointwise())).explain(picture()).uncertainty.max() < 1e-6


def test_uncertainty_is_the_deviation_over_flips_and_turns() -> None:
    """A network that looks to the right answers eight views as if it looked twice each way."""
    kernel = np.zeros((3, 3, 3, 2), np.float32)
    kernel[1, 2, 0, 0] = 0.02
    image = picture()
    padded = np.pad(image[..., 0].astype(float) * 0.02, 1)
    neighbours = [padded[1:-1, 2:], padded[1:-1, :-2], padded[2:, 1:-1], padded[:-2, 1:-1]]
    expected = np.std([1 / (1 + np.exp(-neighbour)) for neighbour in neighbours], axis=0)
    np.testing.assert_allclose(Explainer(network(kernel)).explain(image).uncertainty, expected, atol=1e-5)


def test_unknown_layer_is_answered_with_the_names() -> None:
    """A wrong name, and that of the sigmoid itself, list the layers that there are."""
    for name in ("featurs", "probability"):
        with pytest.raises(ModelError, match=f"no layer {name} .* features, logits"):
            Explainer(network(pointwise()), name)


def test_network_without_sigmoid_is_refused() -> None:
    """A foreign Keras model has no logits to explain."""
    image = keras.Input((SIZE, SIZE, 3))
    with pytest.raises(ModelError, match="does not end in a sigmoid"):
        Explainer(keras.Model(image, layers.Conv2D(1, 1)(image)))


def test_unusable_pictures_are_refused_before_the_model_is_loaded(data_folder: Path, tmp_path: Path) -> None:
    """An empty folder, two pictures of one name, and a picture that its own figure would replace."""
    image = data_folder / "images" / "004.jpg"
    with pytest.raises(DataError, match="holds no image"):
        find_pictures([tmp_path], tmp_path / "out")
    other = tmp_path / "004.jpg"
    shutil.copy(image, other)
    with pytest.raises(DataError, match="would both be written as 004"):
        find_pictures([image, other], tmp_path / "out")
    mask = data_folder / "masks" / "004.png"
    with pytest.raises(DataError, match="overwritten by its own figure"):
        find_pictures([mask], data_folder / "masks")
    assert find_pictures([data_folder / "images", image], tmp_path)[4] == image


def test_unwritable_folder_and_absent_run_are_refused(tiny_run: Path, data_folder: Path, tmp_path: Path) -> None:
    """What cannot be written or loaded is named."""
    image = data_folder / "images" / "004.jpg"
    with pytest.raises(ModelError, match="there is no such model"):
        explain_pictures([image], tmp_path, tmp_path / "out", None, QUIET)
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(OutputError, match="file"):
        explain_pictures([image], tiny_run, blocked, None, QUIET)
