"""Refuses what cannot be measured before anything else takes time."""

from pathlib import Path

from rt_seg.errors import ModelError, SourceError
from rt_seg.realtime.sources.open import open_source
from rt_seg.train.data import find_pairs

from .part import Settings


def check_inputs(settings: Settings) -> None:
    """Look at everything that was given.

    Raises:
        ModelError: The engine or the Keras file is not there.
        SourceError: The video is unusable.
        DataError: A data folder is unusable.
    """
    if settings.engine not in ("auto", "cpu") and not Path(settings.engine).is_file():
        raise ModelError(
            f"{settings.engine}: there is no such engine; give a deployable .onnx, a built .engine, auto or cpu"
        )
    if settings.keras is not None and not settings.keras.is_file():
        raise ModelError(f"{settings.keras}: there is no such Keras file; give the .keras file the model came from")
    if settings.source is not None:
        check_video(settings.source)
    find_pairs(settings.data)


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
