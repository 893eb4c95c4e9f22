"""From the small probability to polyps, a mask at source resolution, and smooth outlines. Thread-safe functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.engines.geometry import Box, Geometry

from .frame import Polyp, Segmentation

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
Int32Array = npt.NDArray[np.int32]
LabelArray = npt.NDArray[np.uint16 | np.int32]
Edges = tuple[float, float, float, float]
"""Left, top, right, bottom."""

MINIMUM_SHARE = 1 / 5000
"""Regions below this share of the model's picture are specks: 13 pixels of 256x256.

Of 2347 annotated regions of Kvasir-SEG and PolypGen, scaled to 256x256, none has 6 to 15 pixels; the ten below that
are slips of the annotator's hand.
"""

_FINE = 4  # boxes and areas are measured on the probability at this multiple of its size
_UPSCALE = 2  # outlines are found on the probability at this multiple of its size
_HOLE_FACTOR = 10  # a hole is drawn if it is this many times larger than the smallest region: pinholes are noise
_ONE_MORE = np.ones((2, 2), np.uint8)
_SLOPE = np.ones((9, 9), np.uint8)  # four pixels on each side: from one half to nothing, where a model is certain
_SMOOTH_POINTS = 5  # outline points that are averaged: two and a half pixels of the model's picture
_TOLERANCE_PX = 0.35  # how far the outline, thinned out, may leave the full one, in frame pixels


@dataclass(frozen=True, slots=True)
class _Component:
    """A connected region of the small mask, in its pixels."""

    label: int
    box: Box
    area: int


def find_polyps(
    probability: UInt8Array, geometry: Geometry, threshold: int, minimum_share: float = MINIMUM_SHARE
) -> tuple[Polyp, ...]:
    """Read the polyps out of a probability.

    Args:
        probability: uint8 ``[h, w]``, 255 = certain.
        geometry: Where its pixels lie in the frame.
        threshold: uint8 value from which a pixel counts as polyp.
        minimum_share: Regions below this share of the picture are left out.

    Returns:
        One polyp for each 8-connected region, largest first. Boxes and areas are those of `frame_mask`, to about a
        quarter of a model's pixel.
    """
    labels, components = _components(probability, threshold, minimum_share)
    polyps: list[Polyp] = []
    for component in components:
        rows, columns = component.box.slices
        inside = (labels[rows, columns] == component.label).view(np.uint8)
        mean = cv2.mean(probability[rows, columns], mask=inside)[0]
        edges, area = _measure(probability, labels, component, threshold)
        area_px = max(round(area * geometry.scale_x * geometry.scale_y), 1)
        fraction = area_px / (geometry.frame_width * geometry.frame_height)
        polyps.append(Polyp(geometry.edges_to_frame(edges), area_px, fraction, mean / 255))
    return tuple(polyps)


def _measure(probability: UInt8Array, labels: LabelArray, component: _Component, threshold: int) -> tuple[Edges, float]:
    """Edges and area of a region, in small pixels, once the probability is scaled up as `frame_mask` does."""
    box = component.box
    x, y = max(box.x - 1, 0), max(box.y - 1, 0)
    part = Box(x, y, min(box.right + 1, probability.shape[1]) - x, min(box.bottom + 1, probability.shape[0]) - y)
    others = (labels[part.slices] > 0) & (labels[part.slices] != component.label)
    alone = np.where(others, np.uint8(threshold - 1), probability[part.slices])
    size = (part.width * _FINE, part.height * _FINE)
    large = _binary(np.asarray(cv2.resize(alone, size, interpolation=cv2.INTER_LINEAR), np.uint8), threshold)
    area = cv2.countNonZero(large) / _FINE**2
    if not area:  # a thin line at the threshold: between its pixels it stays below
        return (box.x, box.y, box.right, box.bottom), component.area
    left, top, width, height = (value / _FINE for value in cv2.boundingRect(large))
    return (x + left, y + top, x + left + width, y + top + height), area


def frame_mask(segmentation: Segmentation) -> UInt8Array:
    """The mask at source resolution: the probability, scaled up into its region, cut at the threshold.

    Args:
        segmentation: What the engine saw. Specks that `find_polyps` leaves out are left out here too.

    Returns:
        uint8 ``[H, W]`` with 0 and 255, zero outside the region; a fresh array.
    """
    geometry, region = segmentation.geometry, segmentation.geometry.region
    mask = np.zeros((geometry.frame_height, geometry.frame_width), np.uint8)
    if not segmentation.polyps:
        return mask
    probability = without_specks(segmentation.probability, segmentation.threshold)
    large = cv2.resize(probability, (region.width, region.height), interpolation=cv2.INTER_LINEAR)
    cv2.threshold(large, segmentation.threshold - 1, 255, cv2.THRESH_BINARY, dst=mask[region.slices])
    return mask


def contours(segmentation: Segmentation) -> list[FloatArray]:
    """Outlines of the polyps (and of large holes in them), smooth at any size of the frame.

    They are found on the probability at twice its size, averaged along their way, and thinned out to the points
    that matter: a 1080p frame gets smooth lines of some 50 points each, for a fraction of what its full mask costs.

    Args:
        segmentation: What the engine saw. Specks that `find_polyps` leaves out are left out here too.

    Returns:
        Closed outlines, float32 ``[points, 2]``: x and y in the frame, pixel centres at one half as in `Geometry`;
        those that the segmentation carries already, if it does.
    """
    if segmentation.outlines is not None:
        return list(segmentation.outlines)
    if not segmentation.polyps:
        return []
    polyps, probability, threshold = segmentation.polyps, segmentation.probability, segmentation.threshold
    crop = _tensor_box(polyps, segmentation.geometry, margin=2)
    found = _outlines(probability[crop.slices], threshold, probability.size)
    if sum(not hole for _, hole in found) != len(polyps):  # a speck among them, most of the time
        found = _outlines(without_specks(probability, threshold)[crop.slices], threshold, probability.size)
    return [_to_frame(outline, crop, segmentation.geometry) for outline, _ in found]


def _outlines(probability: UInt8Array, threshold: int, whole: int) -> list[tuple[Int32Array, bool]]:
    """Outlines of the regions and of their large holes in a part of a probability, and which of them are holes.

    Args:
        probability: uint8 ``[h, w]``.
        threshold: uint8 value from which a pixel counts as polyp.
        whole: Pixels of the whole probability.

    Returns:
        Outlines int32 ``[points, 1, 2]`` in pixels of the part at `_UPSCALE` times its size.
    """
    size = (probability.shape[1] * _UPSCALE, probability.shape[0] * _UPSCALE)
    large = np.asarray(cv2.resize(probability, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    # cv2 runs through the centres of edge pixels: one pixel more to the right and below, and in `_to_frame` half a
    # pixel back, puts the outline on the edge itself
    thick = cv2.dilate(_binary(large, threshold), _ONE_MORE)
    found, tree = cv2.findContours(thick, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not found:  # a thin line that is just at the threshold: between its pixels the cubic stays below
        return []
    holes = (tree[0, :, 3] >= 0).tolist()
    smallest = MINIMUM_SHARE * whole * _UPSCALE**2 / 2  # half: the cubic may shrink a small one
    return [
        (np.asarray(outline, dtype=np.int32), hole)
        for outline, hole in zip(found, holes, strict=True)
        if cv2.contourArea(outline) > (smallest * _HOLE_FACTOR if hole else smallest)
    ]


def without_specks(probability: UInt8Array, threshold: int, minimum_share: float = MINIMUM_SHARE) -> UInt8Array:
    """The same probability with the regions that `find_polyps` leaves out lowered to just below the threshold.

    Args:
        probability: uint8 ``[h, w]``; not written to.
        threshold: uint8 value from which a pixel counts as polyp.
        minimum_share: Regions below this share of the picture are specks.

    Returns:
        uint8 ``[h, w]``; a fresh array.
    """
    labels, components = _components(probability, threshold, minimum_share)
    specks = (labels > 0) & ~_labelled(labels, components)
    return np.where(specks, np.uint8(threshold - 1), probability)


def keep_regions(
    probability: UInt8Array, threshold: int, keep: Sequence[bool], minimum_share: float = MINIMUM_SHARE
) -> UInt8Array:
    """The same probability without some of the regions: 0 in them and on their slopes, where no other one is near.

    Args:
        probability: uint8 ``[h, w]``; not written to.
        threshold: uint8 value from which a pixel counts as polyp.
        keep: For each region, in the order of `find_polyps`, whether it stays; specks do not.
        minimum_share: Regions below this share of the picture are specks.

    Returns:
        uint8 ``[h, w]``; a fresh array.
    """
    labels, components = _components(probability, threshold, minimum_share)
    stays = _labelled(labels, [component for component, wanted in zip(components, keep, strict=True) if wanted])
    goes = (labels > 0) & ~stays
    if not goes.any():
        return probability.copy()
    slopes, near = (cv2.dilate(each.view(np.uint8), _SLOPE) > 0 for each in (goes, stays))
    return np.where(goes | (slopes & ~near), np.uint8(0), probability)


def _labelled(labels: LabelArray, components: Sequence[_Component]) -> npt.NDArray[np.bool_]:
    """Where some of the regions are: bool ``[h, w]``."""
    wanted = np.zeros(int(labels.max()) + 1, np.bool_)
    wanted[[component.label for component in components]] = True
    return wanted[labels]


def _components(probability: UInt8Array, threshold: int, minimum_share: float) -> tuple[LabelArray, list[_Component]]:
    """Label map (0 = background) and the regions that are large enough, largest first."""
    # 16-bit labels halve the time, and are enough for regions that are at least two pixels apart
    kind, dtype = (cv2.CV_16U, np.uint16) if probability.size <= 4 * 0xFFFF else (cv2.CV_32S, np.int32)
    mask = _binary(probability, threshold)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=kind)
    components = [
        _Component(label, Box(*row[: cv2.CC_STAT_AREA]), row[cv2.CC_STAT_AREA])
        for label, row in enumerate(stats.tolist())
        if label > 0 and row[cv2.CC_STAT_AREA] >= minimum_share * probability.size
    ]
    components.sort(key=lambda component: component.area, reverse=True)
    return np.asarray(labels, dtype=dtype), components


def _binary(probability: UInt8Array, threshold: int) -> UInt8Array:
    return np.asarray(cv2.threshold(probability, threshold - 1, 255, cv2.THRESH_BINARY)[1], dtype=np.uint8)


def _tensor_box(polyps: Sequence[Polyp], geometry: Geometry, margin: int) -> Box:
    """The part of the model's picture that holds the polyps' boxes, and a margin."""
    left, top = geometry.to_tensor(min(polyp.box.x for polyp in polyps), min(polyp.box.y for polyp in polyps))
    right, bottom = geometry.to_tensor(
        max(polyp.box.right for polyp in polyps), max(polyp.box.bottom for polyp in polyps)
    )
    x, y = max(math.floor(left) - margin, 0), max(math.floor(top) - margin, 0)
    far_x = min(math.ceil(right) + margin, geometry.tensor_width)
    far_y = min(math.ceil(bottom) + margin, geometry.tensor_height)
    return Box(x, y, far_x - x, far_y - y)


def _to_frame(outline: Int32Array, crop: Box, geometry: Geometry) -> FloatArray:
    """Smooth an outline of the enlarged crop, carry it to the frame, thin it out."""
    half = _SMOOTH_POINTS // 2
    points = outline[:, 0].astype(np.float32)
    around = cv2.copyMakeBorder(points, half, half, 0, 0, cv2.BORDER_WRAP)
    smooth = cv2.blur(around, (1, _SMOOTH_POINTS))[half:-half:_UPSCALE]
    scale = np.array([geometry.scale_x / _UPSCALE, geometry.scale_y / _UPSCALE], np.float32)
    framed = smooth * scale + np.array(geometry.to_frame(crop.x, crop.y), np.float32)
    return np.asarray(cv2.approxPolyDP(framed, _TOLERANCE_PX, closed=True)[:, 0], dtype=np.float32)
