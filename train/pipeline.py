"""From pairs on disk to batches for Keras: cached, augmented in parallel, and the same for the same seed."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .appearance import change_appearance, change_colour, exchange_colour
from .data import Pair, read_pair
from .frameworks import tf
from .geometry import close_up_warp, doubled, flip_warp, identity_warp, in_field, random_warp
from .retouch import erase_polyp, paste_polyp, retouch_beside

UInt8Array = npt.NDArray[np.uint8]
Augmentation = Literal["none", "light", "strong"]
Roi = Literal["auto", "full"]

_CLOSE_UPS, _ERASED, _RETOUCHED, _PASTED = 0.3, 0.2, 0.08, 0.25
"""Shares of the samples that strong augmentation tries to make close-ups of, to take the polyp from, to retouch beside
it, and to paste another one's polyp into. Where it finds no place for that, the picture is only warped."""

_COLOURS_EXCHANGED = 0.3
"""Share of the samples that strong augmentation gives the colours of another picture."""


class TrainingImages:
    """Training pairs in memory, at twice the network's size: the first half of the ``supersampled`` resize.

    Thread-safe once built.

    Args:
        pairs: What to read.
        image_size: Side of the network's input in pixels.
        roi: ``auto``: only the endoscope's field of view, see `in_field`; ``full``: whole pictures.

    Raises:
        DataError: A file is unusable.
    """

    def __init__(self, pairs: Sequence[Pair], image_size: int, roi: Roi = "full") -> None:
        self.image_size = image_size
        self._double = 2 * image_size
        self._images = np.empty((len(pairs), self._double, self._double, 3), np.uint8)
        self._masks = np.empty((len(pairs), self._double, self._double), np.uint8)
        for number, pair in enumerate(pairs):
            image, mask = read_pair(pair)
            if roi == "auto":
                image, mask = in_field(image, mask)
            self._images[number], self._masks[number] = doubled(image, mask, image_size)

    def __len__(self) -> int:
        return len(self._images)

    def polyp_free(self) -> npt.NDArray[np.intp]:
        """Numbers of the pictures whose mask is empty."""
        return np.flatnonzero(~self._masks.any(axis=(1, 2)))

    def sample(
        self, number: int, augmentation: Augmentation, rng: np.random.Generator
    ) -> tuple[UInt8Array, UInt8Array]:
        """One picture as the network gets it.

        Args:
            number: Which one.
            augmentation: ``none``; ``light`` (flips, gentle colour); ``strong`` (all of `geometry`, `retouch` and
                `appearance`).
            rng: Source of chance.

        Returns:
            Image uint8 ``[size, size, 3]`` BGR, mask uint8 ``[size, size]`` with 0 and 255.
        """
        image, mask = self._images[number], self._masks[number]
        if augmentation == "strong":
            return self._augmented(image, mask, rng)
        if augmentation == "light":
            image, mask = flip_warp(rng, self._double).apply(image, mask)
            return change_colour(image, rng, 0.4), mask
        return identity_warp().apply(image, mask)

    def _augmented(
        self, image: UInt8Array, mask: UInt8Array, rng: np.random.Generator
    ) -> tuple[UInt8Array, UInt8Array]:
        kind, warp, other = rng.random(), None, int(rng.integers(len(self)))
        if kind < _CLOSE_UPS:
            warp = close_up_warp(rng, image, mask)
        elif kind < _CLOSE_UPS + _ERASED:
            erased = erase_polyp(rng, image, mask)
            if erased is not None:
                image, mask = erased, np.zeros_like(mask)
        elif kind < _CLOSE_UPS + _ERASED + _RETOUCHED:
            retouched = retouch_beside(rng, image, mask)
            image = image if retouched is None else retouched
        elif kind < _CLOSE_UPS + _ERASED + _RETOUCHED + _PASTED:
            pasted = paste_polyp(rng, image, mask, self._images[other], self._masks[other])
            image, mask = pasted or (image, mask)
        if rng.random() < _COLOURS_EXCHANGED:
            image = exchange_colour(image, self._images[int(rng.integers(len(self)))], rng)
        warp = warp or random_warp(rng, self._double)
        return change_appearance(*warp.apply(image, mask), rng)


def training_batches(
    images: TrainingImages,
    *,
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
    first_epoch: int,
    epochs: int,
    repeat_polyp_free: int = 1,
) -> tuple[Any, int]:
    """Batches of all epochs from `first_epoch` on.

    Order and augmentation depend on the seed and the running number of the sample alone, so that a resumed run sees
    what an unbroken one sees.

    Args:
        images: Where samples come from.
        batch_size: Pictures a batch.
        augmentation: See `TrainingImages.sample`.
        seed: Decides order and augmentation.
        first_epoch: Epoch to start with, from 0.
        epochs: Number of epochs in all.
        repeat_polyp_free: How often an epoch holds each picture without a polyp.

    Returns:
        A ``tf.data.Dataset`` of image uint8 ``[N, size, size, 3]`` and mask float32 ``[N, size, size, 1]`` (0 and 1),
        and the number of batches an epoch.
    """
    members = np.concatenate([np.arange(len(images)), np.tile(images.polyp_free(), repeat_polyp_free - 1)])
    steps = -(-len(members) // batch_size)

    def load(sample: int) -> tuple[UInt8Array, npt.NDArray[np.float32]]:
        epoch, position = divmod(int(sample), len(members))
        order = np.random.default_rng([seed, epoch]).permutation(len(members))
        rng = np.random.default_rng([seed, epoch, position])
        image, mask = images.sample(int(members[order[position]]), augmentation, rng)
        return image, (mask[..., None] > 0).astype(np.float32)

    size = images.image_size
    numbers = tf.data.Dataset.range(first_epoch * steps * batch_size, epochs * steps * batch_size)
    return _batches(numbers, load, size, batch_size), steps


def _batches(numbers: Any, load: Any, size: int, batch_size: int) -> Any:
    def load_tensors(sample: Any) -> tuple[Any, Any]:
        image, mask = tf.numpy_function(load, [sample], (tf.uint8, tf.float32), stateful=False)
        return tf.ensure_shape(image, (size, size, 3)), tf.ensure_shape(mask, (size, size, 1))

    samples = numbers.map(load_tensors, num_parallel_calls=2, deterministic=True)
    return samples.batch(batch_size).prefetch(2)
