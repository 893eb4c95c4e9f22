"""Pictures in, files out: a mask and an overlay each, and one ``predictions.json`` for all. `rt-seg predict`.

``predictions.json``:

| key | value |
|---|---|
| `schema_version` | 1 |
| `rt_seg_version` | version of rt-seg that wrote it |
| `model`, `engine` | as in the header of a results file, see `sinks/results.py` |
| `threshold` | probability (0-1) from which a pixel counts as polyp |
| `images` | list, in the order of the pictures, of those that are done |
| `failed` | list, of those that could not be read: `image`, `error` |

An image has `image` (its path as given), `width`, `height`, `region` (`[x, y, width, height]` of what the model saw, in
its pixels), `polyps` (largest first, as in a results file), `mask` and `overlay` (files, seen from the folder).
"""

import glob
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.engines.engine import Engine
from rt_seg.engines.field_of_view import Roi
from rt_seg.errors import InputError, OutputError, SourceError

from .frame import Frame, Segmentation
from .overlay import Overlay
from .preprocess import Preprocess
from .regions import frame_mask
from .segment import Segment
from .sinks.files import OutputFile, check_output_folder, output_error
from .sinks.masks import encode_mask
from .sinks.results import polyp_record
from .sources.images import IMAGE_SUFFIXES, images_among, read_image

UInt8Array = npt.NDArray[np.uint8]

SCHEMA_VERSION = 1
MASKS, OVERLAYS, RECORD = "masks", "overlays", "predictions.json"


def find_images(inputs: Sequence[str]) -> list[Path]:
    """The pictures that the user named.

    Args:
        inputs: Files, folders (their pictures, not those of folders in them) and patterns such as ``frames/*.png``.

    Returns:
        Each once, in the order given; those of a folder or pattern in natural order. A file that is missing is in
        it: it fails when its turn comes, and the others are done.

    Raises:
        SourceError: A folder or pattern holds no picture.
        InputError: Two pictures have the same base name: their files would overwrite each other.
    """
    paths = list(dict.fromkeys(path for text in inputs for path in _images_of(text)))
    first: dict[str, Path] = {}
    for path in paths:
        other = first.setdefault(path.stem, path)
        if other != path:
            raise InputError(
                f"{other} and {path} would both be written as {path.stem}.png; rename one, or predict them one by one "
                "into different folders"
            )
    return paths


def _images_of(text: str) -> list[Path]:
    path = Path(text)
    try:
        if path.is_dir():
            found, problem = images_among(path.iterdir()), "a folder without images"
        elif not path.exists() and glob.has_magic(text):
            matches = glob.iglob(text, recursive=True)  # noqa: PTH207  # Path.glob takes no absolute pattern
            found, problem = images_among(map(Path, matches)), "matches no image"
        else:
            return [path]
    except OSError as exc:
        raise SourceError(f"{text}: cannot be read ({exc.strerror}); change its permissions") from exc
    if not found:
        kinds = " ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        raise SourceError(f"{text}: {problem}; give images ({kinds})")
    return found


def check_output(folder: Path, images: Iterable[Path]) -> None:
    """Refuse an output folder before any work is done.

    Raises:
        OutputError: It cannot be written, or a picture would be overwritten by its own mask or overlay.
    """
    check_output_folder(folder)
    for part in (folder / MASKS, folder / OVERLAYS):
        if part.exists() and not part.is_dir():
            raise OutputError(f"{part}: is a file; remove it or choose another folder")
        inside = next((path for path in images if path.resolve().parent == part.resolve()), None)
        if inside is not None:
            raise OutputError(f"{part}: holds the input {inside.name}; choose another folder, so that it is kept")


class Predictor:
    """Segments pictures one after another and writes what was found. Passive and not thread-safe; a context manager.

    Leaving it writes ``predictions.json``, also after an error: what is done by then is recorded.

    Args:
        engine: What infers; it stays the caller's to close.
        folder: Where to write; made if it is missing. Files of the same names are replaced.
        overlay: Draws the mask.
        roi: Part of each picture that is segmented; ``auto`` judges each on its own.
        threshold: Probability (0-1) from which a pixel counts as polyp; None takes the model's own.

    Attributes:
        images: A record for each picture that is done, see the module's table.
        failed: A record for each that could not be read.
    """

    def __init__(
        self, engine: Engine, folder: Path, overlay: Overlay, roi: Roi = "auto", threshold: float | None = None
    ) -> None:
        self._engine = engine
        self._folder = folder
        self._overlay = overlay
        self._preprocess = Preprocess(engine.spec, roi, steady=False)
        self._threshold = engine.spec.threshold if threshold is None else threshold
        self._segment = Segment(engine, self._threshold)
        self.images: list[dict[str, Any]] = []
        self.failed: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.images or self.failed:
            self._write(RECORD, json.dumps(self._record(), indent=2, allow_nan=False).encode() + b"\n")

    def predict(self, path: Path) -> None:
        """Segment one picture and write its mask and overlay.

        Raises:
            SourceError: It cannot be read; this is recorded, and the next one may come.
            InputError: The region is not inside it.
            OutputError: A file cannot be written.
            EngineError: The engine failed.
        """
        try:
            image = _read(path)
        except SourceError as exc:
            self.failed.append({"image": str(path), "error": str(exc)})
            raise
        try:
            prepared = self._preprocess(Frame(len(self.images), 0.0, 0, image))
        except InputError as exc:
            raise InputError(f"{path}: {exc}") from exc
        segmentation = self._segment(prepared)
        mask, overlay = f"{MASKS}/{path.stem}.png", f"{OVERLAYS}/{path.stem}.png"
        self._write(mask, encode_mask(frame_mask(segmentation)))
        self._write(overlay, self._drawn(segmentation))
        self.images.append(_image_record(path, segmentation, mask, overlay))

    def _drawn(self, segmentation: Segmentation) -> bytes:
        picture = segmentation.frame.image.copy()
        self._overlay.draw(picture, segmentation)
        return cv2.imencode(".png", picture)[1].tobytes()

    def _record(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "rt_seg_version": version("rt-seg"),
            "model": asdict(self._engine.spec),
            "engine": asdict(self._engine.info),
            "threshold": self._threshold,
            "images": self.images,
            "failed": self.failed,
        }

    def _write(self, name: str, data: bytes) -> None:
        """Write a file of the folder, or leave none."""
        path = self._folder / name
        file = OutputFile(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file.write(data)
            file.close()
        except OSError as exc:
            raise output_error(path, exc) from exc
        except OutputError:
            file.remove()
            raise


def _read(path: Path) -> UInt8Array:
    # by name first: a video would be read into memory whole
    if path.exists() and path.suffix.lower() not in IMAGE_SUFFIXES:
        kinds = " ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        raise SourceError(f"{path}: not a picture by its name ({kinds}); for a video use rt-seg stream")
    return read_image(path)


def _image_record(path: Path, segmentation: Segmentation, mask: str, overlay: str) -> dict[str, Any]:
    frame, region = segmentation.frame, segmentation.geometry.region
    return {
        "image": str(path),
        "width": frame.width,
        "height": frame.height,
        "region": [region.x, region.y, region.width, region.height],
        "polyps": [polyp_record(polyp) for polyp in segmentation.polyps],
        "mask": mask,
        "overlay": overlay,
    }
