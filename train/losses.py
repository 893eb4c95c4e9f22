"""Loss functions on probabilities, one value per picture."""

from typing import Any

from rt_seg.errors import ModelError

from .frameworks import keras, ops


def loss_function(name: str) -> Any:
    """A loss by name, as Keras wants it: truth and probability ``[N, H, W, 1]`` to a value per picture ``[N]``.

    Raises:
        ModelError: An unknown name.
    """
    known = {
        "bce": _bce,
        "dice": _dice,
        "bce+dice": _bce_dice,
        "focal-tversky": _focal_tversky,
        "structure": _structure,
    }
    if name not in known:
        raise ModelError(f"no loss is called {name!r}; there are {', '.join(known)}")
    return known[name]


def _bce(truth: Any, probability: Any) -> Any:
    return ops.mean(keras.losses.binary_crossentropy(truth, probability), axis=(1, 2))


def _dice(truth: Any, probability: Any) -> Any:
    """Soft Dice loss of each picture (Milletari et al., 2016, without their squares).

    The overlap of a picture without a polyp is always 0, so it would only add a constant: such pictures count as 0, and
    cross-entropy is what teaches them.
    """
    overlap = ops.sum(truth * probability, axis=(1, 2, 3))
    total = ops.sum(truth, axis=(1, 2, 3)) + ops.sum(probability, axis=(1, 2, 3))
    return _where_polyp(truth, 1 - (2 * overlap + 1) / (total + 1))


def _bce_dice(truth: Any, probability: Any) -> Any:
    return _bce(truth, probability) + _dice(truth, probability)


def _focal_tversky(truth: Any, probability: Any) -> Any:
    """Focal Tversky loss (Abraham and Khan, 2019): alpha 0.7 on misses, beta 0.3 on false alarms, gamma 4/3.

    Pictures without a polyp, of which it says nothing, are taught by cross-entropy.
    """
    hit = ops.sum(truth * probability, axis=(1, 2, 3))
    missed = ops.sum(truth * (1 - probability), axis=(1, 2, 3))
    false = ops.sum((1 - truth) * probability, axis=(1, 2, 3))
    index = (hit + 1) / (hit + 0.7 * missed + 0.3 * false + 1)
    focal = ops.power(ops.maximum(1 - index, 1e-7), 0.75)
    has_polyp = ops.any(truth > 0.5, axis=(1, 2, 3))
    return ops.where(has_polyp, focal, _bce(truth, probability))


def _structure(truth: Any, probability: Any) -> Any:
    """Cross-entropy and IoU, both heavier near the edge of the polyp (Wei et al., F3Net, 2020, arXiv:1911.11445).

    A pixel weighs 1 to 6, by how much of the square around it, some tenth of the picture wide, is of the other kind.
    Of a picture without a polyp the IoU would be 0 as soon as anything at all is marked, and teach nothing more: there
    a false area counts by itself, half as much as it ever can when it covers a hundredth of the picture.
    """
    side = 2 * round(truth.shape[1] / 23) + 1  # the paper's 31 pixels of 352
    around = truth
    for window in ((side, 1), (1, side)):  # the mean over a square, at a fraction of its cost
        around = ops.average_pool(around, window, strides=1, padding="same")
    weight = 1 + 5 * ops.abs(around - truth)
    entropy = keras.losses.binary_crossentropy(truth, probability)[..., None]
    weighted_bce = ops.sum(weight * entropy, axis=(1, 2, 3)) / ops.sum(weight, axis=(1, 2, 3))
    overlap = ops.sum(weight * truth * probability, axis=(1, 2, 3))
    union = ops.sum(weight * (truth + probability), axis=(1, 2, 3)) - overlap
    has_polyp = ops.any(truth > 0.5, axis=(1, 2, 3))
    slack = ops.where(has_polyp, 1.0, 0.01 * truth.shape[1] * truth.shape[2])
    return weighted_bce + 1 - (overlap + slack) / (union + slack)


def _where_polyp(truth: Any, value: Any) -> Any:
    return ops.where(ops.any(truth > 0.5, axis=(1, 2, 3)), value, ops.zeros_like(value))
