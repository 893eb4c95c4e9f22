"""Appearance augmentation: what light, lens, recorder and instruments do to an endoscopic picture.

Every function takes and returns uint8 BGR ``[H, W, 3]``; those that hide tissue return the mask too, cleared there.
None writes to its input.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from .geometry import BLACK

UInt8Array = npt.NDArray[np.uint8]

_GLYPHS = "0123456789:/-ABCDELNPRS "


def change_colour(image: UInt8Array, rng: np.random.Generator, strength: float = 1.0) -> UInt8Array:
    """White balance, brightness, contrast, gamma (one table for each channel) and saturation."""
    levels = np.linspace(0.0, 1.0, 256)
    gain = np.exp(rng.normal(0, 0.10 * strength, 3) + rng.normal(0, 0.15 * strength))
    gamma = np.exp(rng.normal(0, 0.22 * strength))
    contrast = np.exp(rng.normal(0, 0.12 * strength))
    table = ((levels[:, None] ** gamma - 0.45) * contrast + 0.45) * gain + rng.normal(0, 0.03 * strength)
    tables = (np.clip(table, 0, 1) * 255 + 0.5).astype(np.uint8).reshape(1, 256, 3)
    image = _uint8(cv2.LUT(image, tables))
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    saturation = float(np.exp(rng.normal(0, 0.25 * strength)))
    return _uint8(cv2.addWeighted(image, saturation, grey, 1 - saturation, 0))


def exchange_colour(image: UInt8Array, other: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Move the tissue's colours towards another picture's: mean and spread of each channel of CIE L*a*b*.

    E. Reinhard et al., Color Transfer between Images, 2001; for polyps J. Wei et al., Shallow Attention Network, 2021.
    Here black stays black and reflections stay white, as they do under any lamp.

    Args:
        image: uint8 ``[H, W, 3]``, BGR.
        other: Likewise, of any size.
        rng: Decides how far, between a third of the way and all of it.
    """
    own, wanted = _lit_colours(image), _lit_colours(other)
    if not len(own) or not len(wanted):
        return image
    spread = np.clip(wanted.std(axis=0) / np.maximum(own.std(axis=0), 1.0), 0.7, 1.4)
    levels, way = np.arange(256)[:, None], rng.uniform(0.33, 1.0)
    table = (1 - way) * levels + way * ((levels - own.mean(axis=0)) * spread + wanted.mean(axis=0))
    tables = np.clip(table + 0.5, 0, 255).astype(np.uint8).reshape(1, 256, 3)
    exchanged = cv2.cvtColor(cv2.LUT(cv2.cvtColor(image, cv2.COLOR_BGR2LAB), tables), cv2.COLOR_LAB2BGR)
    darkness, whiteness = image.max(axis=2, keepdims=True), image.min(axis=2, keepdims=True)
    share = np.minimum(_RISE[darkness], _RISE[255 - whiteness])
    return _uint8(image + share * (exchanged.astype(np.float32) - image))


_RISE = np.clip((np.arange(256, dtype=np.float32) - 10) / 60, 0, 1)
"""Share of the exchanged colour by a pixel's distance from black and from white."""


def _lit_colours(image: UInt8Array) -> npt.NDArray[np.float32]:
    """CIE L*a*b* of every 64th pixel that shows something, ``[N, 3]``."""
    thinned = np.ascontiguousarray(image[::8, ::8])
    lab = cv2.cvtColor(thinned, cv2.COLOR_BGR2LAB)
    return np.asarray(lab[thinned.max(axis=2) > BLACK], np.float32)


def turn_hue(image: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Shift the hue by some degrees: dye, narrow-band light and badly balanced recorders."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    shift = int(np.clip(rng.normal(0, 7), -20, 20))  # OpenCV's hue counts two degrees
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + shift) % 180
    return _uint8(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR))


def blur_by_motion(image: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Average along a line of 3 to 17 pixels in any direction."""
    length = int(rng.integers(3, 18))
    kernel = np.zeros((length, length), np.float32)
    middle = (length - 1) / 2
    dx, dy = middle * np.array([np.cos(angle := rng.uniform(0, np.pi)), np.sin(angle)])
    ends = [(round(middle - sign * dx), round(middle - sign * dy)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return _uint8(cv2.filter2D(image, -1, kernel / kernel.sum()))


def blur_by_defocus(image: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Gaussian blur of 0.5 to 4 pixels."""
    return _uint8(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 4.0)))


def lower_resolution(image: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Shrink to 0.35-0.8 of the size and stretch back, as small recordings are."""
    height, width = image.shape[:2]
    factor = rng.uniform(0.35, 0.8)
    small = cv2.resize(image, (int(width * factor), int(height * factor)), interpolation=cv2.INTER_AREA)
    return _uint8(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def add_noise(image: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Sensor noise of 2 to 12 levels, the same in all channels or not."""
    height, width = image.shape[:2]
    channels = 3 if rng.random() < 0.5 else 1
    noise = rng.standard_normal((height, width, channels), np.float32) * np.float32(rng.uniform(2, 12))
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def compress(image: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """JPEG of quality 15 to 75."""
    _done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 76))])
    return _uint8(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)))


def interlace(image: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Show two moments in alternating lines: fields move apart by 2 to 8 pixels, the mask stays between them."""
    half = int(rng.integers(1, 5)) * int(rng.choice([-1, 1]))
    rows = int(rng.integers(1, 3))  # fields of a frame that was stretched afterwards are more than one line thick
    first, second = np.roll(image, half, axis=1), np.roll(image, -half, axis=1)
    woven = second.copy()
    for row in range(rows):
        woven[row :: 2 * rows] = first[row :: 2 * rows]
    return woven


def add_highlights(image: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Specular reflections: up to 25 small bright blobs with soft edges, near one another."""
    light = np.zeros(image.shape[:2], np.uint8)
    height, width = image.shape[:2]
    centre, spread = rng.uniform(0.15, 0.85, 2), rng.uniform(0.03, 0.2)
    for _ in range(int(rng.integers(2, 26))):
        x, y = rng.normal(centre, spread) * (width, height)
        axes = (int(rng.integers(1, 7)), int(rng.integers(1, 4)))
        cv2.ellipse(light, (int(x), int(y)), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    light = _uint8(cv2.GaussianBlur(light, (0, 0), rng.uniform(0.5, 1.5)))
    return _uint8(cv2.add(image, cv2.cvtColor(light, cv2.COLOR_GRAY2BGR)))


def darken_edge(image: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Uneven light: a gradient to 0.3-0.9 of the brightness away from a random bright spot."""
    height, width = image.shape[:2]
    x, y = rng.uniform(0.1, 0.9, 2)
    across = (np.arange(width, dtype=np.float32) / width - np.float32(x)) ** 2
    down = (np.arange(height, dtype=np.float32) / height - np.float32(y)) ** 2
    light = 1 - np.minimum(across + down[:, None], 1) * np.float32(rng.uniform(0.1, 0.7))
    return np.asarray(image * light[..., None], dtype=np.uint8)


def mask_field_of_view(image: UInt8Array, mask: UInt8Array, rng: np.random.Generator) -> tuple[UInt8Array, UInt8Array]:
    """Black borders: a disc, a rectangle with cut corners, or bars; outside it is no tissue and no mask."""
    height, width = mask.shape
    view = np.zeros_like(mask)
    centre = (int(width * rng.uniform(0.42, 0.58)), int(height * rng.uniform(0.42, 0.58)))
    shape = rng.integers(3)
    if shape == 0:
        axes = (int(width * rng.uniform(0.42, 0.65)), int(height * rng.uniform(0.42, 0.65)))
        cv2.ellipse(view, centre, axes, 0, 0, 360, 255, -1)
    elif shape == 1:
        left, top, right, bottom = (rng.uniform(0, 0.1, 4) * width).astype(int)
        cut = int(rng.uniform(0.05, 0.25) * width)
        r, b = width - right, height - bottom
        corners = [(left + cut, top), (r - cut, top), (r, top + cut), (r, b - cut)]
        corners += [(r - cut, b), (left + cut, b), (left, b - cut), (left, top + cut)]
        cv2.fillConvexPoly(view, np.array(corners, np.int32), 255)
    else:
        left, top, right, bottom = (rng.uniform(0, 0.22, 4) * width * (rng.random(4) < 0.5)).astype(int)
        view[top : height - bottom, left : width - right] = 255
    black = int(rng.integers(0, 22))
    outside = view == 0
    return np.where(outside[..., None], np.uint8(black), image), np.where(outside, np.uint8(0), mask)


def add_inset(image: UInt8Array, mask: UInt8Array, rng: np.random.Generator) -> tuple[UInt8Array, UInt8Array]:
    """A box in a corner: the scope guide's map, or a small picture of the picture; and sometimes text."""
    height, width = mask.shape
    image, mask = image.copy(), mask.copy()
    if rng.random() < 0.7:
        w, h = int(width * rng.uniform(0.15, 0.36)), int(height * rng.uniform(0.15, 0.36))
        x, y = int(rng.integers(2)) * (width - w), int(rng.integers(2)) * (height - h)
        box = np.s_[y : y + h, x : x + w]
        image[box] = _inset_content(image, w, h, rng)
        mask[box] = 0
    if rng.random() < 0.5:
        text = "".join(_GLYPHS[number] for number in rng.integers(0, len(_GLYPHS), int(rng.integers(4, 14))))
        top, bottom = int(rng.integers(8, 40)), height - int(rng.integers(2, 30))
        origin = (int(width * rng.uniform(0, 0.5)), top if rng.random() < 0.5 else bottom)
        grey = int(rng.integers(140, 256))
        cv2.putText(image, text, origin, cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.25, 0.5), (grey, grey, grey), 1)
    return image, mask


def _inset_content(image: UInt8Array, width: int, height: int, rng: np.random.Generator) -> UInt8Array:
    if rng.random() < 0.35:
        return _uint8(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
    colour = rng.choice(np.array([(0, 110, 0), (20, 140, 30), (120, 60, 0), (60, 60, 60), (10, 10, 10)]))
    box = np.full((height, width, 3), colour, np.uint8)
    points = np.cumsum(rng.normal(0, 0.12, (12, 2)), axis=0) * (width, height) + (width / 2, height / 2)
    line = [int(v) for v in rng.integers(120, 256, 3)]
    cv2.polylines(box, [points.astype(np.int32)], isClosed=False, color=line, thickness=int(rng.integers(1, 4)))
    return box


def add_instrument(image: UInt8Array, mask: UInt8Array, rng: np.random.Generator) -> tuple[UInt8Array, UInt8Array]:
    """A snare: a tube from the edge, which hides tissue, and a wire loop, which is too thin to."""
    size = mask.shape[0]
    image, mask = image.copy(), mask.copy()
    angle = rng.uniform(0, 2 * np.pi)
    out = np.array([np.cos(angle), np.sin(angle)])
    tip = rng.uniform(0.25, 0.75, 2) * size
    tube = _tube(tip, tip + out * 1.5 * size, rng.uniform(0.02, 0.05) * size)
    wire = [int(v) for v in np.clip(rng.integers(60, 240) + rng.normal(0, 15, 3), 0, 255)]
    if rng.random() < 0.7:
        reach, breadth = rng.uniform(0.08, 0.3) * size, rng.uniform(0.03, 0.15) * size
        centre = tuple(int(v) for v in tip - out * reach)
        axes = (int(reach), int(breadth))
        thickness = int(rng.integers(1, 3))
        cv2.ellipse(image, centre, axes, float(np.degrees(angle)), 0, 360, wire, thickness, cv2.LINE_AA)
    base = rng.choice(np.array([(200, 200, 200), (40, 40, 40), (170, 120, 50), (90, 160, 90), (120, 120, 130)]))
    shade = np.clip(base + rng.normal(0, 15, 3), 0, 255)
    for inner in (1.0, 0.6, 0.25):  # a lighter middle makes it round
        colour = [int(v) for v in np.clip(shade * (1.3 - 0.5 * inner), 0, 255)]
        cv2.fillConvexPoly(image, _narrow(tube, inner).astype(np.int32), colour, cv2.LINE_AA)
    cv2.fillConvexPoly(mask, tube.astype(np.int32), 0)
    return image, mask


def _tube(tip: npt.NDArray[np.float64], end: npt.NDArray[np.float64], radius: float) -> npt.NDArray[np.float64]:
    """The four corners of a straight tube: two at the tip, two at the end."""
    along = (end - tip) / np.linalg.norm(end - tip)
    side = np.array([-along[1], along[0]]) * radius
    return np.array([tip - side, tip + side, end + side, end - side])


def _narrow(tube: npt.NDArray[np.float64], factor: float) -> npt.NDArray[np.float64]:
    """The same tube about the same axis, `factor` times as thick."""
    tip, end = tube[:2].mean(axis=0), tube[2:].mean(axis=0)
    centres = np.array([tip, tip, end, end])
    return np.asarray(centres + (tube - centres) * factor)


_DEGRADATIONS: tuple[tuple[float, Callable[[UInt8Array, np.random.Generator], UInt8Array]], ...] = (
    (0.25, darken_edge),
    (0.20, turn_hue),
    (0.25, add_highlights),
    (0.18, blur_by_motion),
    (0.22, blur_by_defocus),
    (0.12, lower_resolution),
    (0.10, interlace),
    (0.20, add_noise),
    (0.25, compress),
)


def change_appearance(image: UInt8Array, mask: UInt8Array, rng: np.random.Generator) -> tuple[UInt8Array, UInt8Array]:
    """Strong augmentation of appearance: each change with a chance of its own, in the order in which reality does them.

    Args:
        image: uint8 ``[H, W, 3]``, BGR.
        mask: uint8 ``[H, W]``, 0 and 255.
        rng: Source of chance.

    Returns:
        A new image, and the mask without what the changes hide.
    """
    if rng.random() < 0.10:
        image, mask = add_instrument(image, mask, rng)
    if rng.random() < 0.85:
        image = change_colour(image, rng)
    for chance, degrade in _DEGRADATIONS[:5]:
        if rng.random() < chance:
            image = degrade(image, rng)
    if rng.random() < 0.15:
        image, mask = mask_field_of_view(image, mask, rng)
    if rng.random() < 0.15:
        image, mask = add_inset(image, mask, rng)
    for chance, degrade in _DEGRADATIONS[5:]:
        if rng.random() < chance:
            image = degrade(image, rng)
    return image, mask


def _uint8(image: npt.NDArray[np.generic] | cv2.typing.MatLike) -> UInt8Array:
    """Narrow OpenCV's return type; no copy."""
    return np.asarray(image, dtype=np.uint8)
