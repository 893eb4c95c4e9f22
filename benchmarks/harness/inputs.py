"""Refuses what cannot be measured before anything else takes time."""

from collections.abc import Callable
from pathlib import Path
from zipfile import is_zipfile

from rt_seg.engines.model_file import read_model_file
from rt_seg.engines.tensorrt.checks import read_engine_file
from rt_seg.errors import ModelError, SourceError
from rt_seg.realtime.sources.open import open_source
from rt_seg.train.data import find_pairs

from .part import Settings

_READERS: dict[str, Callable[[Path], object]] = {".onnx": read_model_file, ".engine": read_engine_file}


def check_inputs(settings: Settings) -> None:
    """Look at everything that was given.

    Raises:
        ModelError: The engine or the Keras file is not there, or is none.
        SourceError: The video is unusable.
        DataError: A data folder is unusable.
    """
    if settings.engine not in ("auto", "cpu"):
        check_engine(Path(settings.engine))
    if settings.keras is not None:
        check_keras(settings.keras)
    if settings.source is not None:
        check_video(settings.source)
    find_pairs(settings.data)


def check_engine(path: Path) -> None:
    """Refuse a file that is no engine; whether it runs on this machine is not asked.

    Raises:
        ModelError: It is none.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None or not path.is_file():
        what = "there is no such engine" if read is not None else "is no engine that rt-seg runs"
        raise ModelError(f"{path}: {what}; give a deployable .onnx, a built .engine, auto or cpu")
    read(path)


def check_keras(path: Path) -> None:
    """Refuse a file that is not one of Keras, by its name and its first bytes.

    Raises:
        ModelError: It is none.
    """
    if not path.is_file():
        raise ModelError(f"{path}: there is no such Keras file; give the .keras file the model came from")
    if path.suffix != ".keras" or not is_zipfile(path):
        raise ModelError(f"{path}: is no Keras file; give the .keras file the model came from")


def clip_source(source: Path | None) -> tuple[str, str]:
    """What clips are made of, as for `open_source`, and what to call it: the file given, or the packaged demo."""
    return ("demo", "the packaged clip") if source is None else (str(source), source.name)


def check_video(path: Path) -> tuple[int, int]:
    """Refuse what is not a video file with a frame.

    Returns:
        Its width and height.

    Raises:
        SourceError: It is none.
    """
    source = open_source(str(path))
    try:
        if source.info.kind != "video":
            raise SourceError(f"{path}: is no video file, which is what the benchmark runs on")
        if next(iter(source), None) is None:
            raise SourceError(f"{path}: holds no frame; give a video with some")
        return source.info.width, source.info.height
    finally:
        source.close()
