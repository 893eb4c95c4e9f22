"""Reads a deployable ONNX file and checks it against the contract, before anything runs.

OpenVINO's own ONNX reader does the reading: the CPU engine needs its result anyway, while importing `onnx` only to look
would cost every start about 0.1 s more (reading 12 MB of weights takes OpenVINO 0.02 s).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rt_seg.errors import ModelError

from .spec import INPUT_NAME, METADATA_KEY, OUTPUT_NAME, ModelSpec

if TYPE_CHECKING:
    import openvino as ov

INT8_SUFFIX = ".int8.onnx"


@dataclass(frozen=True, slots=True, eq=False)
class ModelFile:
    """A deployable model that passed every check.

    Attributes:
        path: Where it was read from.
        spec: What it says about itself.
        graph: The network, batch size still dynamic.
    """

    path: Path
    spec: ModelSpec
    graph: "ov.Model"


def read_model_file(path: Path) -> ModelFile:
    """Read and check a deployable ONNX.

    Raises:
        ModelError: Missing, a directory, unreadable, not ONNX, without the spec, of another schema version, or with
            other tensors than the contract's.
    """
    _check_file(path)
    graph = _read_graph(path)
    spec = ModelSpec.from_json(_spec_text(graph, path), str(path))
    _check_tensors(graph, spec, path)
    return ModelFile(path, spec, graph)


def sha256_of(path: Path) -> str:
    """SHA-256 of a model file, hexadecimal; see `ModelSpec.source_sha256`.

    Raises:
        ModelError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise ModelError(f"{path}: cannot be read ({exc.strerror}); check the path and its permissions") from exc


def int8_neighbour(path: Path) -> Path:
    """Where the int8 file of a model lies: ``polyp.int8.onnx`` for ``polyp.onnx``."""
    return path.with_name(path.stem + INT8_SUFFIX)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ModelError(f"{path}: is a directory; give the model's .onnx file")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as exc:
        raise ModelError(f"{path}: there is no such model file; check the path") from exc
    except OSError as exc:
        raise ModelError(f"{path}: cannot be read ({exc.strerror}); check its permissions") from exc
    if empty:
        raise ModelError(f"{path}: is empty; export the model again")


def _read_graph(path: Path) -> "ov.Model":
    # the ONNX reader by name: asked openly, OpenVINO tries all its readers, and some of them print to stderr
    from .openvino_runtime import openvino as ov

    frontends = cast("Any", ov.frontend)  # not annotated
    reader = frontends.FrontEndManager().load_by_framework("onnx")
    try:
        return cast("ov.Model", reader.convert(reader.load(str(path))))
    except Exception as exc:  # OpenVINO's errors share no base below Exception
        raise ModelError(
            f"{path}: is not an ONNX file that can be run ({last_line(exc)}); export the model again"
        ) from exc


def _spec_text(graph: "ov.Model", path: Path) -> str:
    place = ["framework", METADATA_KEY]  # where OpenVINO keeps ONNX's metadata_props
    if not graph.has_rt_info(place):
        raise ModelError(
            f"{path}: has no {METADATA_KEY} in its metadata, so it is not an rt-seg model; make one with rt-seg export"
        )
    return str(graph.get_rt_info(place).astype(str))


def _check_tensors(graph: "ov.Model", spec: ModelSpec, path: Path) -> None:
    size = [-1, spec.height, spec.width]  # -1: any batch size
    wanted = [f"{INPUT_NAME} u8 {[*size, 3]}", f"{OUTPUT_NAME} u8 {size}"]
    found = [_describe(port) for port in (*graph.inputs, *graph.outputs)]
    if found != wanted:
        raise ModelError(
            f"{path}: has the tensors {', '.join(found)}, the contract says {', '.join(wanted)}; export it again"
        )


def _describe(port: "ov.Output") -> str:
    """A tensor as ``name type shape``, dynamic sizes as -1."""
    names = port.get_names()
    name = next((known for known in (INPUT_NAME, OUTPUT_NAME) if known in names), min(names, default="unnamed"))
    shape = port.get_partial_shape()
    sizes = [d.get_length() if d.is_static else -1 for d in shape] if shape.rank.is_static else "of any rank"
    return f"{name} {port.get_element_type().get_type_name()} {sizes}"


def last_line(error: Exception) -> str:
    """The telling part of an OpenVINO message: its last line; those above name C++ source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
