"""Clips whose true masks are known: a simulated camera moves over stills with masks. Simulated, and labelled so.

The camera is the demo's (`rt_seg.realtime.demo.make_demo`): motion blur, defocus and the wobble of a hand. It starts
where no polyp is, finds it, stays, and leaves. What spoils real video comes on top: noise of the sensor, reflections
that jump about, light that changes, the blocks of a codec. The truth is the still's mask seen by the same camera.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.errors import DataError
from rt_seg.realtime.demo.make_demo import FPS, Pose, Scene, field_mask, with_noise

UInt8Array = npt.NDArray[np.uint8]
Random = np.random.Generator

WIDTH, HEIGHT = 428, 342  # half the demo's field: a still of 640 pixels has no more to show, and the model takes less
_LIT = 24  # levels above which a still shows something, as in the demo
_TRIES = 60  # places looked at for a view without a polyp
_WIDEN = 1.06  # zoom of the next try, when the camera would look beyond the still
_CLOSEST = 4.5  # zoom from which on a still's pixels are too coarse


@dataclass(frozen=True, slots=True)
class Still:
    """A picture with its truth.

    Attributes:
        name: For people.
        image: uint8 ``[H, W, 3]``, BGR.
        mask: uint8 ``[H, W]`` with 0 and 255.
    """

    name: str
    image: UInt8Array = field(repr=False)
    mask: UInt8Array = field(repr=False)


@dataclass(frozen=True, slots=True)
class Spoiling:
    """How bad the picture is.

    Attributes:
        noise: Sigma of the sensor's noise in levels.
        defocus: Largest sigma of the blur in pixels of the 428x342 field.
        reflections: New reflections a second.
        light: Largest change of the brightness, as a share.
        quality: Of the JPEG that stands in for a codec, 0-100.
    """

    noise: float
    defocus: float
    reflections: float
    light: float
    quality: int


SPOILING = {"mild": Spoiling(1.6, 0.5, 4, 0.04, 90), "hard": Spoiling(6.0, 2.5, 20, 0.15, 55)}


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """A frame of a clip.

    Attributes:
        pts_seconds: Since the clip's start.
        image: uint8 ``[342, 428, 3]``, BGR: the field of view, black beyond its cut corners.
        truth: uint8 ``[342, 428]`` with 0 and 255.
    """

    pts_seconds: float
    image: UInt8Array = field(repr=False)
    truth: UInt8Array = field(repr=False)


class Clip:
    """A few seconds over one still; the same seed gives the same frames.

    Args:
        still: What the camera moves over.
        spoiling: How bad the picture is.
        seed: Of path, noise and reflections.

    Raises:
        DataError: The still is too dark or too small to move over.
    """

    def __init__(self, still: Still, spoiling: Spoiling, seed: int) -> None:
        self.name = still.name
        self._spoiling = spoiling
        self._seed = seed
        self._field = field_mask(WIDTH, HEIGHT)
        self._scene = _scene(still, spoiling.defocus, np.random.default_rng([seed, 1]), self._field)

    def __len__(self) -> int:
        return self._scene.frames

    def __iter__(self) -> Iterator[LabelledFrame]:
        random = np.random.default_rng([self._seed, 2])
        reflections = _Reflections(self._spoiling.reflections, random)
        phase = random.uniform(0, 2 * np.pi)
        for index in range(len(self)):
            second = index / FPS
            light = 1 + self._spoiling.light * np.sin(2 * np.pi * 0.7 * second + phase)
            view = np.asarray(cv2.convertScaleAbs(self._scene.view(second), alpha=light), np.uint8)
            view = with_noise(reflections.on(view), self._spoiling.noise, random)
            image = np.zeros_like(view)
            cv2.copyTo(_coded(view, self._spoiling.quality), self._field, image)
            yield LabelledFrame(second, image, self._scene.mask(second, self._field))


class _Reflections:
    """White spots of wet mucosa: each stays for some frames and drifts, and most are small."""

    def __init__(self, each_second: float, random: Random) -> None:
        self._each_frame = each_second / FPS
        self._random = random
        self._spots: list[npt.NDArray[np.float64]] = []  # x, y, half axes, degrees, drift x, drift y, frames left

    def on(self, view: UInt8Array) -> UInt8Array:
        for _ in range(self._random.poisson(self._each_frame)):
            self._spots.append(self._new())
        shine = np.zeros(view.shape[:2], np.uint8)
        for spot in self._spots:
            x, y, long, short, degrees = spot[:5]
            cv2.ellipse(shine, ((x, y), (2 * long, 2 * short), degrees), 255, -1)
            spot[:2] += spot[5:7]
            spot[7] -= 1
        self._spots = [spot for spot in self._spots if spot[7] > 0]
        soft = cv2.GaussianBlur(shine, (0, 0), 0.8)
        return np.asarray(cv2.add(view, cv2.merge([soft, soft, soft])), np.uint8)

    def _new(self) -> npt.NDArray[np.float64]:
        random = self._random
        long = 1 + random.exponential(3)
        x, y = random.uniform(0, WIDTH), random.uniform(0, HEIGHT)
        drift = random.normal(0, 0.8, 2)
        shape = [long, long * random.uniform(0.2, 0.9), random.uniform(0, 180)]
        return np.array([x, y, *shape, *drift, random.integers(2, 20)])


def _coded(view: UInt8Array, quality: int) -> UInt8Array:
    """The picture after a lossy codec."""
    _, data = cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _scene(still: Still, defocus: float, random: Random, seen: UInt8Array) -> Scene:
    """The still with a path that stays on it."""
    size = (round(1.5 * WIDTH), round(1.5 * HEIGHT))  # of the still: what a view of it shows at its own resolution
    image = np.asarray(cv2.resize(still.image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    mask = np.asarray(cv2.resize(still.mask, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    lit = _lit_area(image)
    rough = _path(mask, lit, defocus, random)
    zoom = 1.0
    while zoom < _CLOSEST:
        scene = Scene(image, mask, lit, tuple(_closer(pose, zoom) for pose in rough), (WIDTH, HEIGHT))
        if _stays(scene, seen):
            return scene
        zoom *= _WIDEN
    raise DataError(f"{still.name}: too little of the still is lit for a camera to move over it; leave it out")


def _closer(pose: Pose, zoom: float) -> Pose:
    return Pose(pose.second, pose.x, pose.y, pose.zoom * zoom, pose.degrees, pose.defocus)


def _stays(scene: Scene, seen: UInt8Array) -> bool:
    try:
        for index in range(0, scene.frames, 3):
            scene.mask(index / FPS, seen)
        for index in range(scene.frames):
            scene.mask(index / FPS, seen)
    except DataError:
        return False
    return True


def _lit_area(image: UInt8Array) -> UInt8Array:
    """The still's own field of view: the convex hull of what is lit, less a seam; uint8, 0 and 255."""
    lit = (image.max(axis=2) > _LIT).astype(np.uint8)
    opened = cv2.morphologyEx(lit, cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
    outlines, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    area = np.zeros(lit.shape, np.uint8)
    if outlines:
        cv2.fillPoly(area, [cv2.convexHull(max(outlines, key=cv2.contourArea))], 255)
    return np.asarray(cv2.erode(area, np.ones((7, 7), np.uint8), borderType=cv2.BORDER_REPLICATE), np.uint8)


def _path(mask: UInt8Array, lit: UInt8Array, defocus: float, random: Random) -> tuple[Pose, ...]:
    """Key poses: from a place without a polyp to the polyp, a look around, and away. Without a polyp, wandering."""
    away = _away(mask, lit, random)
    if not mask.any():
        places = [_near(0.5, 0.5, 0.08, random) for _ in range(4)]
        return tuple(Pose(1.3 * i, *place, random.uniform(1.3, 1.9), random.uniform(-9, 9), d * defocus)
                     for i, (place, d) in enumerate(zip(places, (0, 0.6, 0, 1.0), strict=True)))  # fmt: skip
    rows, columns = np.nonzero(mask)
    x, y = columns.mean() / mask.shape[1], rows.mean() / mask.shape[0]
    x, y = 0.5 + 0.6 * (x - 0.5), 0.5 + 0.6 * (y - 0.5)  # an endoscopist does not centre it exactly
    looks = [Pose(1.6 + 0.8 * i, *_near(x, y, 0.05, random), random.uniform(1.25, 1.7), random.uniform(-9, 9), d)
             for i, d in enumerate((0.0, 0.5 * defocus, 0.0))]  # fmt: skip
    if away is None:
        return tuple(Pose(pose.second - 1.6, *pose.as_row()) for pose in looks)
    near, far = Pose(0.0, *away, 0.0, defocus), Pose(0.8, *away, 4.0, 0.0)
    return near, far, *looks, Pose(4.1, *away, -6.0, defocus), Pose(4.7, *away, -3.0, 0.0)


def _near(x: float, y: float, distance: float, random: Random) -> tuple[float, float]:
    return x + random.uniform(-distance, distance), y + random.uniform(-distance, distance)


def _away(mask: UInt8Array, lit: UInt8Array, random: Random) -> tuple[float, float, float] | None:
    """A view without a polyp that the still has: x, y, zoom; or None. The widest of those that were tried."""
    best = None
    for _ in range(_TRIES):
        zoom = random.uniform(2.0, 3.4)
        half = 0.55 / zoom  # and room for the wobble
        x, y = random.uniform(half, 1 - half), random.uniform(half, 1 - half)
        rows = slice(round((y - half) * mask.shape[0]), round((y + half) * mask.shape[0]))
        columns = slice(round((x - half) * mask.shape[1]), round((x + half) * mask.shape[1]))
        if not mask[rows, columns].any() and lit[rows, columns].all() and (best is None or zoom < best[2]):
            best = x, y, zoom
    return best
