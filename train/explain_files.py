"""`rt-seg explain`: pictures in, one figure and one file of maps each, and ``explanations.json`` for all.

| key | value |
|---|---|
| `schema_version` | 1 |
| `rt_seg_version` | version of rt-seg that wrote it |
| `model`, `network`, `layer` | file of the Keras model, its name, the layer of Seg-Grad-CAM |
| `views` | number of flips and quarter turns that the uncertainty is the standard deviation over |
| `images` | list, in the order of the pictures, of those that are done |
| `failed` | list, of those that could not be used: `image`, `error` |

An image has `image` (its path as given), `width`, `height`, `polyp_share` (of its area, at threshold 0.5), `target` (of
Seg-Grad-CAM, see `explain.Explanation`), `uncertainty_mean`, `uncertainty_max`, `figure` and `maps` (files, seen from
the folder). The maps are float32 ``[size, size]`` arrays ``probability``, ``grad_cam`` and ``uncertainty`` in a NPZ.
"""

import io
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from rt_seg.engines.resize import resize_image
from rt_seg.errors import DataError, OutputError

from .data import SUFFIXES, UInt8Array, read_image
from .explain import THRESHOLD, VIEWS, Explainer, Explanation
from .explain_figure import draw_explanation
from .keras_file import load_keras_model, model_path

SCHEMA_VERSION = 1
RECORD = "explanations.json"


def find_pictures(inputs: Sequence[Path], output: Path) -> list[Path]:
    """The pictures that the user named, in the order given; those of a folder by name.

    Raises:
        DataError: A folder holds none, two have the same base name, or one would be overwritten by its own figure.
    """
    paths = list(dict.fromkeys(path for item in inputs for path in _pictures_of(item)))
    by_stem: dict[str, Path] = {}
    for path in paths:
        other = by_stem.setdefault(path.stem, path)
        if other != path:
            raise DataError(f"{other} and {path} would both be written as {path.stem}.png; explain them one by one")
        if path.suffix.lower() == ".png" and path.resolve().parent == output.resolve():
            raise DataError(f"{path}: would be overwritten by its own figure; choose another folder than {output}")
    return paths


def _pictures_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = [file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES]
    if not found:
        raise DataError(f"{path}: holds no image ({', '.join(SUFFIXES)})")
    return found


def explain_pictures(inputs: Sequence[Path], run: Path, output: Path, layer: str | None, console: Console) -> bool:
    """Explain pictures and write what was found.

    A picture that cannot be used is named on the console, and the others are done all the same.

    Args:
        inputs: Pictures and folders of pictures.
        run: Folder of a run, or a ``.keras`` file.
        output: Folder to write to; made if it is missing.
        layer: See `Explainer`.
        console: Where progress and failures are shown.

    Returns:
        Whether all pictures were done.

    Raises:
        DataError: See `find_pictures`.
        ModelError: The model or the layer cannot be used.
        OutputError: A file cannot be written.
    """
    paths = find_pictures(inputs, output)
    explainer = Explainer(load_keras_model(run), layer)
    images: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    for path in track(paths, "explaining", console=console, transient=True, disable=not console.is_terminal):
        try:
            picture = read_image(path)
        except DataError as exc:
            console.print(f"rt-seg: {exc}", markup=False, highlight=False, soft_wrap=True)
            failed.append({"image": str(path), "error": str(exc)})
            continue
        side = explainer.image_size
        explanation = explainer.explain(resize_image(picture, side, side))
        images.append(_write_picture(path, picture, explanation, explainer.layer, output))
    record = {
        "schema_version": SCHEMA_VERSION,
        "rt_seg_version": version("rt-seg"),
        "model": str(model_path(run)),
        "network": explainer.network,
        "layer": explainer.layer,
        "views": VIEWS,
        "images": images,
        "failed": failed,
    }
    _write(output / RECORD, json.dumps(record, indent=2, allow_nan=False).encode() + b"\n")
    console.print(f"{len(images)} of {len(paths)} pictures explained: {output}", highlight=False, soft_wrap=True)
    return not failed


def _write_picture(
    path: Path, picture: UInt8Array, explanation: Explanation, layer: str, output: Path
) -> dict[str, Any]:
    figure, maps = f"{path.stem}.png", f"{path.stem}.npz"
    _write(output / figure, draw_explanation(picture, explanation, title=path.name, layer=layer))
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        probability=explanation.probability,
        grad_cam=explanation.grad_cam,
        uncertainty=explanation.uncertainty,
    )
    _write(output / maps, buffer.getvalue())
    return {
        "image": str(path),
        "width": picture.shape[1],
        "height": picture.shape[0],
        "polyp_share": round(float((explanation.probability >= THRESHOLD).mean()), 6),
        "target": explanation.target,
        "uncertainty_mean": round(float(explanation.uncertainty.mean()), 6),
        "uncertainty_max": round(float(explanation.uncertainty.max()), 6),
        "figure": figure,
        "maps": maps,
    }


def _write(path: Path, data: bytes) -> None:
    """Write a file, or leave none.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as exc:
        if path.is_file():
            path.unlink()
        raise OutputError(f"{path}: cannot be written ({exc.strerror}); check the path and the free space") from exc
