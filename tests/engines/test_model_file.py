"""Model files: what keeps the contract is read, everything else is refused in one clear line."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from rt_seg.engines.model_file import int8_neighbour, read_model_file, sha256_of
from rt_seg.engines.spec import METADATA_KEY, ModelSpec
from rt_seg.errors import ModelError

Edit = Callable[[onnx.ModelProto], object]


def test_reads_the_spec(tiny_model_path: Path) -> None:
    """A deployable file gives its spec and its graph."""
    model = read_model_file(tiny_model_path)
    assert model.spec == ModelSpec("tiny", 64, 64)
    assert model.path == tiny_model_path
    assert model.graph.input(0).get_any_name() == "frames"


def refusal(path: Path) -> str:
    """The one line that refuses a file; it begins with the file's name."""
    with pytest.raises(ModelError) as caught:
        read_model_file(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    """A path with nothing there is refused as such."""
    assert "no such model file" in refusal(tmp_path / "absent.onnx")


def test_refuses_a_directory(tmp_path: Path) -> None:
    """A directory is refused as such."""
    assert "is a directory" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\0", b"hello", b"\x08\x08" * 300, bytes(range(256)) * 8])
def test_refuses_what_is_no_onnx(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """An empty or foreign file is refused, and no library writes to the terminal."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    refusal(path)
    assert capfd.readouterr() == ("", "")


def test_refuses_a_truncated_file_wherever_it_ends(tmp_path: Path, tiny_model_path: Path) -> None:
    """A half-copied file is refused, wherever the copy stopped."""
    whole = tiny_model_path.read_bytes()
    path = tmp_path / "half.onnx"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        refusal(path)


def _edited(edit: Edit, source: Path, target: Path) -> Path:
    model = onnx.load(source)
    edit(model)
    target.write_bytes(model.SerializeToString())
    return target


def _drop_spec(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def _later_schema(model: onnx.ModelProto) -> None:
    model.metadata_props[0].value = '{"name": "x", "width": 64, "height": 64, "schema_version": 99}'


def _other_size(model: onnx.ModelProto) -> None:
    model.metadata_props[0].value = ModelSpec("x", 32, 64).to_json()


def _not_json(model: onnx.ModelProto) -> None:
    model.metadata_props[0].value = "size: 64"


def _fixed_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _float_output(model: onnx.ModelProto) -> None:
    cast = next(node for node in model.graph.node if node.op_type == "Cast" and node.output[0] == "as_uint8")
    cast.attribute[0].i = TensorProto.FLOAT
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT


def _other_input_name(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "image"
    model.graph.node[0].input[0] = "image"


def _second_output(model: onnx.ModelProto) -> None:
    shape: list[str | int | None] = ["N", 1, 64, 64]
    model.graph.output.append(helper.make_tensor_value_info("scaled", TensorProto.FLOAT, shape))


def _unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[2].op_type = "Frobnicate"


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (_drop_spec, f"no {METADATA_KEY}"),
        (_later_schema, "schema version 99"),
        (_not_json, "not JSON"),
        (_other_size, "contract says frames u8 [-1, 64, 32, 3]"),
        (_fixed_batch, "frames u8 [1, 64, 64, 3]"),
        (_float_output, "probability f32"),
        (_other_input_name, "image u8"),
        (_second_output, "scaled f32"),
        (_unknown_operator, "not an ONNX file that can be run"),
    ],
)
def test_refuses_what_breaks_the_contract(tmp_path: Path, tiny_model_path: Path, edit: Edit, says: str) -> None:
    """A readable ONNX that departs from the contract is refused, and the line says in what."""
    assert says in refusal(_edited(edit, tiny_model_path, tmp_path / "edited.onnx"))


def test_sha256_and_neighbour(tmp_path: Path) -> None:
    """The digest is SHA-256 of the bytes; the int8 neighbour keeps dots inside the name."""
    path = tmp_path / "polyp.v2.onnx"
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert int8_neighbour(path).name == "polyp.v2.int8.onnx"
    with pytest.raises(ModelError, match="cannot be read"):
        sha256_of(tmp_path / "absent")
