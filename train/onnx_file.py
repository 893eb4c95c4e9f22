"""Deployable ONNX files on disk, without Keras: writing them, and changing what they say about themselves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from rt_seg.engines.spec import METADATA_KEY, ModelSpec
from rt_seg.errors import ModelError, OutputError


def read_spec(path: Path) -> ModelSpec:
    """The spec of a deployable file.

    Raises:
        ModelError: Missing, not ONNX, or without a spec.
    """
    return _spec_of(_load(path), path)


def save_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Write the file.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.SerializeToString())
    except OSError as exc:
        raise OutputError(f"{path}: cannot be written ({exc.strerror}); check the path and the free space") from exc


def change_spec(path: Path, **changes: Any) -> ModelSpec:
    """Change fields of the spec in a deployable file, such as its measured quality.

    Args:
        path: The file; it is replaced.
        changes: New values of fields of `ModelSpec`.

    Returns:
        The new spec.

    Raises:
        ModelError: The file holds no spec, or the values are outside the contract.
        OutputError: The file cannot be written.
    """
    model = _load(path)
    spec = replace(_spec_of(model, path), **changes)
    onnx.helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    save_onnx(model, path)
    return spec


def _load(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(path)
    except Exception as exc:  # protobuf's errors share no base with OSError
        raise ModelError(f"{path}: cannot be read as ONNX ({exc}); check the path") from exc


def _spec_of(model: onnx.ModelProto, path: Path) -> ModelSpec:
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            return ModelSpec.from_json(entry.value, str(path))
    raise ModelError(f"{path}: has no {METADATA_KEY} in its metadata, so it is not an rt-seg model; use rt-seg export")
