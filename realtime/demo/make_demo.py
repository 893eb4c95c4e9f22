"""Make the demo clip from four PolypGen stills: a simulated camera glides over them.

    python -m rt_seg.realtime.demo.make_demo POLYPGEN_FOLDER [OUTPUT_FOLDER]

POLYPGEN_FOLDER holds ``C1/images`` and ``C1/masks``. The true mask of a frame is the still's mask seen by the
same camera in the middle of the exposure, so it is exact. Scenes change while the camera is close to a wall
without a polyp, out of focus.
"""

# PyAV's stubs leave the parameter of Packet open
# pyright: reportUnknownMemberType=false

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace

from rt_seg.errors import DataError
from rt_seg.realtime.demo import encode_runs

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]

WIDTH, HEIGHT, FPS = 1280, 720, 25
# where the endoscope's picture lies in the frame
FIELD_X, FIELD_Y, FIELD_WIDTH, FIELD_HEIGHT = 392, 18, 856, 684
CORNER = 0.2  # share of the field's width that its cut corners take
EXPOSURE = 0.5  # share of the time between two frames during which the shutter is open
EXPOSURE_SAMPLES = 5
FADE_FRAMES = 10
NOISE_SIGMA = 1.6  # in 8-bit levels, before H.264
SIDE_TEXT = (
    "rt-seg demo",
    "",
    "Simulated camera motion",
    "over still pictures",
    "",
    "PolypGen, centre 1",
    "Ali et al., Sci Data 2023",
    "CC BY 4.0",
    "",
    "Research use only",
)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the camera looks at a moment of a scene.

    Attributes:
        second: Time since the scene began.
        x: Centre of the view, as a share of the still's width.
        y: Centre of the view, as a share of the still's height.
        zoom: How many times smaller than the still the view is.
        degrees: Rotation of the camera.
        defocus: Sigma of the blur in frame pixels.
    """

    second: float
    x: float
    y: float
    zoom: float
    degrees: float
    defocus: float

    def as_row(self) -> tuple[float, ...]:
        """All values but the time."""
        return self.x, self.y, self.zoom, self.degrees, self.defocus


SCENES: dict[str, tuple[Pose, ...]] = {
    "564OLCV1_100H0002": (
        Pose(0.0, 0.50, 0.50, 1.18, 0, 0),
        Pose(1.4, 0.46, 0.47, 1.35, -4, 0),
        Pose(2.6, 0.58, 0.56, 2.0, -7, 7),
    ),
    "518OLCV1_100H0004": (
        Pose(0.0, 0.34, 0.66, 2.0, 6, 8),
        Pose(1.0, 0.47, 0.51, 1.45, 3, 0),
        Pose(2.0, 0.54, 0.48, 1.35, -3, 0),
        Pose(2.6, 0.48, 0.55, 1.5, -3, 0),
        Pose(3.2, 0.35, 0.68, 2.1, -2, 9),
    ),
    "544OLCV1_100H0002": (
        Pose(0.0, 0.44, 0.30, 2.1, -6, 8),
        Pose(1.0, 0.49, 0.51, 1.3, -3, 0),
        Pose(2.0, 0.52, 0.56, 1.4, 4, 0),
        Pose(2.5, 0.54, 0.50, 1.5, 6, 0),
        Pose(3.1, 0.62, 0.31, 2.3, 8, 8),
    ),
    "864OLCV1_100H0004": (
        Pose(0.0, 0.80, 0.45, 3.1, -4, 9),
        Pose(0.45, 0.79, 0.45, 2.9, -4, 8),
        Pose(1.3, 0.53, 0.51, 1.35, 0, 0),
        Pose(2.1, 0.49, 0.52, 1.3, 4, 0),
        Pose(3.2, 0.47, 0.52, 1.5, 2, 0),
    ),
}


class Scene:
    """A still with its mask and the camera's path over it.

    Args:
        image: The still, uint8 BGR.
        mask: Its polyps, uint8 with 0 and 255.
        valid: Its own field of view, likewise.
        path: Key poses.
        size: Width and height of the sensor in pixels.
    """

    def __init__(
        self,
        image: UInt8Array,
        mask: UInt8Array,
        valid: UInt8Array,
        path: tuple[Pose, ...],
        size: tuple[int, int] = (FIELD_WIDTH, FIELD_HEIGHT),
    ) -> None:
        self._image, self._mask, self._valid, self._size = image, mask, valid, size
        self._seconds = np.array([pose.second for pose in path])
        self._poses = np.array([pose.as_row() for pose in path])
        self.frames = round(path[-1].second * FPS)

    def pose(self, second: float) -> FloatArray:
        """x, y, zoom, degrees, defocus: cubic through the key poses, with the small wobble of a hand."""
        pose = _cubic(self._seconds, self._poses, second)
        wobble = np.sin(2 * np.pi * second * np.array([0.9, 1.3, 0.6, 0.8]) + np.array([0.3, 1.9, 0.0, 2.6]))
        pose[:4] += wobble * np.array([0.004, 0.005, 0.008, 0.5])
        return pose

    def view(self, second: float) -> UInt8Array:
        """The field as the sensor sees it, motion blur and defocus included; uint8 BGR."""
        offsets = np.linspace(-0.5, 0.5, EXPOSURE_SAMPLES) * EXPOSURE / FPS
        views = [self._warp(self._image, second + offset, cv2.INTER_CUBIC) for offset in offsets]
        blurred: npt.NDArray[np.float32] = np.stack(views).astype(np.float32).mean(axis=0)
        sigma = float(self.pose(second)[4])
        if sigma > 0.2:
            blurred = np.asarray(cv2.GaussianBlur(blurred, (0, 0), sigma), dtype=np.float32)
        return np.clip(np.add(blurred, 0.5), 0, 255).astype(np.uint8)

    def mask(self, second: float, field: UInt8Array) -> UInt8Array:
        """The true mask inside the field, in the middle of the exposure; uint8, 0 and 255.

        Raises:
            DataError: The camera looks beyond the still's own field of view; its path must be mended.
        """
        seen = self._warp(self._valid, second, cv2.INTER_LINEAR)
        if np.any((seen < 128) & (field > 0)):
            raise DataError(f"the camera leaves the still {second:.2f} s into a scene; mend SCENES")
        warped = self._warp(self._mask, second, cv2.INTER_LINEAR)
        return np.where((warped > 127) & (field > 0), np.uint8(255), np.uint8(0))

    def _warp(self, image: UInt8Array, second: float, interpolation: int) -> UInt8Array:
        x, y, zoom, degrees, _ = self.pose(second)
        height, width = image.shape[:2]
        scale = self._size[0] / width * zoom
        matrix = cv2.getRotationMatrix2D((x * width, y * height), degrees, scale)
        matrix[0, 2] += self._size[0] / 2 - x * width
        matrix[1, 2] += self._size[1] / 2 - y * height
        return np.asarray(cv2.warpAffine(image, matrix, self._size, flags=interpolation), dtype=np.uint8)


def _cubic(times: FloatArray, values: FloatArray, time: float) -> FloatArray:
    """Cubic Hermite through `values` with finite-difference tangents: smooth, and close to the key poses."""
    time = float(np.clip(time, times[0], times[-1]))
    tangents: FloatArray = np.gradient(values, times, axis=0)
    tangents[[0, -1]] = 0
    i = min(int(np.searchsorted(times, time, side="right")) - 1, len(times) - 2)
    span = times[i + 1] - times[i]
    t = (time - times[i]) / span
    start, end = (1 + 2 * t) * (1 - t) ** 2, t * t * (3 - 2 * t)
    out, into = t * (1 - t) ** 2 * span, t * t * (t - 1) * span
    pose: FloatArray = start * values[i] + end * values[i + 1] + out * tangents[i] + into * tangents[i + 1]
    pose[4] = max(pose[4], 0.0)
    return pose


def read_still(folder: Path, name: str) -> tuple[UInt8Array, UInt8Array]:
    """Read a still of centre 1 (BGR) and its mask.

    Raises:
        DataError: One of the two is missing.
    """
    image = cv2.imread(str(folder / "C1" / "images" / f"{name}.jpg"), cv2.IMREAD_COLOR)
    mask = cv2.imread(str(folder / "C1" / "masks" / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
    if image is None or mask is None:
        raise DataError(f"{folder}: C1/images/{name}.jpg or its mask is missing; give the folder of PolypGen")
    return np.asarray(image, dtype=np.uint8), np.asarray(mask, dtype=np.uint8)


def read_scenes(folder: Path) -> list[Scene]:
    """Read all stills. One type of endoscope made them: what is lit in any of them is its field of view."""
    stills = [read_still(folder, name) for name in SCENES]
    brightest = np.max(np.stack([image for image, _ in stills]), axis=(0, 3))
    # JPEG leaves a grey seam along the cut corners: two pixels more are taken as black
    lit = np.where(brightest > 24, np.uint8(255), np.uint8(0))
    valid = cv2.erode(lit, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_REPLICATE).astype(np.uint8)
    paths = SCENES.values()
    return [Scene(image, mask, valid, path) for (image, mask), path in zip(stills, paths, strict=True)]


def field_mask(width: int = FIELD_WIDTH, height: int = FIELD_HEIGHT) -> UInt8Array:
    """The octagon that the endoscope's picture fills; uint8 ``[height, width]``, 0 and 255."""
    w, h, cut = width - 1, height - 1, round(CORNER * width)
    octagon = [(cut, 0), (w - cut, 0), (w, cut), (w, h - cut), (w - cut, h), (cut, h), (0, h - cut), (0, cut)]
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.array(octagon, np.int32)], 255)
    return mask


def render(scenes: list[Scene]) -> Iterator[tuple[UInt8Array, UInt8Array]]:
    """Deliver each frame (uint8 BGR ``[720, 1280, 3]``) and its true mask (uint8 ``[720, 1280]``)."""
    random = np.random.default_rng(2023)
    field, screen = field_mask(), side_text()
    rows, columns = slice(FIELD_Y, FIELD_Y + FIELD_HEIGHT), slice(FIELD_X, FIELD_X + FIELD_WIDTH)
    for number, scene in enumerate(scenes):
        for i in range(scene.frames):
            view, mask = scene.view(i / FPS), scene.mask(i / FPS, field)
            if number and i < FADE_FRAMES:
                view, mask = fade_in(scenes[number - 1], view, mask, i)
            noisy = with_noise(view, NOISE_SIGMA, random)
            image, truth = screen.copy(), np.zeros((HEIGHT, WIDTH), np.uint8)
            cv2.copyTo(noisy, field, image[rows, columns])
            truth[rows, columns] = mask
            yield image, truth


def with_noise(view: UInt8Array, sigma: float, random: np.random.Generator) -> UInt8Array:
    """A picture with a sensor's noise, of that many 8-bit levels; uint8 BGR."""
    # brightness noise is stronger than colour noise
    noise = random.normal(0, sigma, (*view.shape[:2], 1))
    noise = noise + random.normal(0, sigma / 2, view.shape)
    return np.clip(view + noise + 0.5, 0, 255).astype(np.uint8)


def fade_in(previous: Scene, view: UInt8Array, mask: UInt8Array, i: int) -> tuple[UInt8Array, UInt8Array]:
    """Blend out of the previous scene's last view.

    Raises:
        DataError: One of the two shows a polyp, so that the truth would not be exact; mend SCENES.
    """
    last = previous.frames / FPS
    if mask.any() or previous.mask(last, field_mask()).any():
        raise DataError(f"a polyp is in view in frame {i} of a change of scene; mend SCENES")
    weight = (i + 1) / (FADE_FRAMES + 1)
    return np.asarray(cv2.addWeighted(view, weight, previous.view(last), 1 - weight, 0), dtype=np.uint8), mask


def side_text() -> UInt8Array:
    """The screen around the field: black, with the text that says what this is; uint8 BGR."""
    screen = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    font = cv2.FontFace("sans")
    for line, text in enumerate(SIDE_TEXT):
        size = 26 if line == 0 else 20
        cv2.putText(screen, text, (36, 84 + 32 * line), (200, 200, 200), font, size, weight=400)
    return screen


def encode(frames: Iterator[tuple[UInt8Array, UInt8Array]], folder: Path) -> None:
    """Write ``demo.mp4`` (H.264, yuv420p, BT.709 limited range, tagged so) and ``demo_masks.npz``."""
    runs: list[npt.NDArray[np.uint32]] = []
    with av.open(str(folder / "demo.mp4"), "w", options={"movflags": "+faststart"}) as container:
        container.metadata["title"] = "rt-seg demo: simulated camera motion over PolypGen stills (CC BY 4.0)"
        options = {"crf": "21", "preset": "veryslow"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, FPS)
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries = context.color_trc = 1  # BT.709 in the tables of ITU-T H.273
        for index, (image, truth) in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            yuv = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
            yuv.pts, yuv.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(yuv))
            runs.append(encode_runs(truth))
        container.mux(stream.encode(None))
    np.savez_compressed(
        folder / "demo_masks.npz",
        shape=np.array([HEIGHT, WIDTH], np.int32),
        counts=np.array([len(each) for each in runs], np.int32),
        gaps=np.concatenate(runs),
    )


def main(arguments: list[str]) -> None:
    """Read the stills, make the clip and its masks."""
    if len(arguments) not in (1, 2):
        sys.exit("usage: python -m rt_seg.realtime.demo.make_demo POLYPGEN_FOLDER [OUTPUT_FOLDER]")
    folder = Path(arguments[1]) if len(arguments) == 2 else Path(__file__).parent
    encode(render(read_scenes(Path(arguments[0]))), folder)


if __name__ == "__main__":
    main(sys.argv[1:])
