"""What a network's answer rests on (Seg-Grad-CAM), and how much it sways (test-time augmentation)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rt_seg.errors import ModelError

from .frameworks import keras, layers, tf

UInt8Array = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]

THRESHOLD = 0.5
"""Probability from which a pixel counts as polyp: that of an exported file."""

VIEWS = 8
"""Four quarter turns, each as it is and mirrored."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Maps of one picture, float32 ``[size, size]``, at the network's size.

    Attributes:
        probability: The network's answer, 0 to 1.
        grad_cam: What speaks for the target, 0 to 1, where 1 is its strongest place; all 0 if nothing does.
        uncertainty: Standard deviation of the probability over the `VIEWS` views, 0 to 0.5.
        target: What `grad_cam` explains: the predicted ``polyp``, or the whole ``picture`` where none is predicted.
    """

    probability: Map
    grad_cam: Map
    uncertainty: Map
    target: Literal["polyp", "picture"]


class Explainer:
    """Explains the answers of one network. Not thread-safe.

    Args:
        model: A Keras model of `models.build_model`, from square pictures.
        layer: Name of the layer that Seg-Grad-CAM looks at; None: the last one at the coarsest resolution.

    Raises:
        ModelError: There is no such layer, or the network does not end in a sigmoid.
    """

    def __init__(self, model: Any, layer: str | None = None) -> None:
        last = model.layers[-1]
        if not isinstance(last, layers.Activation) or last.activation is not keras.activations.sigmoid:
            raise ModelError(f"{model.name} does not end in a sigmoid; give a network of rt-seg train")
        self._model = model
        self.layer = _default_layer(model) if layer is None else layer
        names = [item.name for item in _candidates(model)]
        if self.layer not in names:
            raise ModelError(f"{model.name} has no layer {self.layer} to look at; there are {', '.join(names)}")
        self._inside = keras.Model(model.inputs, [model.get_layer(self.layer).output, last.input])

    @property
    def network(self) -> str:
        """Name of the network."""
        return str(self._model.name)

    @property
    def image_size(self) -> int:
        """Side of the network's input in pixels."""
        return int(self._model.input_shape[1])

    def explain(self, picture: UInt8Array) -> Explanation:
        """Explain the answer to one picture.

        Args:
            picture: uint8 ``[size, size, 3]`` BGR, resized as deployment does.
        """
        views = np.stack(list(_views(picture)))
        answers = np.asarray(self._model(views.astype(np.float32), training=False))[..., 0]
        turned_back = np.stack([_turn_back(answer, number) for number, answer in enumerate(answers)])
        polyp = answers[0] >= THRESHOLD
        return Explanation(
            probability=answers[0],
            grad_cam=self._grad_cam(picture, polyp if polyp.any() else np.ones_like(polyp)),
            uncertainty=turned_back.std(axis=0),
            target="polyp" if polyp.any() else "picture",
        )

    def _grad_cam(self, picture: UInt8Array, pixels: npt.NDArray[np.bool_]) -> Map:
        """Seg-Grad-CAM (Vinogradova, Dibrov and Myers, 2020, arXiv:2002.11434), equations 1 and 2.

        The channels of the layer, each weighted by the mean of its gradient of the summed logits of `pixels`; what is
        negative speaks against polyp, and is cut.
        """
        with tf.GradientTape() as tape:
            features, logits = self._inside(tf.constant(picture[None], tf.float32), training=False)
            target = tf.reduce_sum(logits[0, ..., 0] * pixels.astype(np.float32))
        weights = tf.reduce_mean(tape.gradient(target, features), axis=(1, 2), keepdims=True)
        cam = np.maximum(np.asarray(tf.reduce_sum(weights * features, axis=-1))[0], 0)
        strongest = cam.max()
        scaled = cam / strongest if strongest > 0 else cam
        side = self.image_size
        stretched = tf.image.resize(scaled[..., None], (side, side), method="bicubic")
        return np.clip(np.asarray(stretched, np.float32)[..., 0], 0, 1)


def _candidates(model: Any) -> list[Any]:
    """Layers before the sigmoid whose output is a picture of more than one pixel."""
    inner = [layer for layer in model.layers[:-1] if not isinstance(layer, (layers.InputLayer, layers.Dropout))]
    return [layer for layer in inner if len(layer.output.shape) == 4 and layer.output.shape[1] > 1]


def _default_layer(model: Any) -> str:
    """The last at the coarsest resolution: it has seen the widest surroundings."""
    candidates = _candidates(model)
    coarsest = min(layer.output.shape[1] for layer in candidates)
    return str([layer.name for layer in candidates if layer.output.shape[1] == coarsest][-1])


def _views(picture: UInt8Array) -> Iterator[UInt8Array]:
    """The picture itself, its quarter turns, and the mirror images of all four."""
    for number in range(VIEWS):
        turned = np.rot90(picture, number % 4)
        yield turned[:, ::-1] if number >= VIEWS // 2 else turned


def _turn_back(answer: Map, number: int) -> Map:
    """A map of view `number` as it lies on the picture."""
    return np.rot90(answer[:, ::-1] if number >= VIEWS // 2 else answer, -(number % 4))
