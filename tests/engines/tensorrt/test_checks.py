"""What is refused before it reaches TensorRT, and what each refusal says."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rt_seg.engines.spec import ModelSpec
from rt_seg.engines.tensorrt import checks
from rt_seg.engines.tensorrt.checks import (
    check_version,
    choose_gpu,
    contract_tensors,
    fits,
    mend_command,
    read_engine_file,
)
from rt_seg.engines.tensorrt.driver import Gpu
from rt_seg.engines.tensorrt.manifest import EngineManifest, TensorInfo, manifest_path
from rt_seg.errors import ModelError

from .engine_files import VERSION, manifest_of, plan_of, write_engine
from .fakes import GPU_NAME

A4000 = Gpu(0, GPU_NAME, "8.6", 16 * 2**30)
OTHER = Gpu(1, "NVIDIA GeForce RTX 3060", "8.6", 12 * 2**30)
BLACKWELL = Gpu(2, "NVIDIA GeForce RTX 5090", "12.0", 32 * 2**30)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """An engine and its manifest."""
    return write_engine(tmp_path / "polyp.engine")


def refusal(call: Callable[[], Any]) -> str:
    """The line with which something is refused; it holds the command that mends it."""
    with pytest.raises(ModelError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert "rt-seg build-engine" in text
    return text


def test_reads_an_engine_that_is_whole(engine: Path) -> None:
    """Plan and manifest are handed on as they are."""
    file = read_engine_file(engine)
    assert file.plan == engine.read_bytes()
    assert file.manifest == manifest_of(file.plan)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"ftrt", r"is truncated \(4 bytes\)"),
        (plan_of()[:27], r"is truncated \(27 bytes\)"),
        (plan_of()[:-1], "truncated, altered or replaced"),
        (plan_of()[:-1] + b"x", "truncated, altered or replaced"),
        (plan_of() + b"x", "truncated, altered or replaced"),
        (b"\x08\x07\x12\x07pytorch" + bytes(99), r"is no TensorRT engine \(it begins with b'\\x08\\x07\\x12\\x07'\)"),
        (b"PK\x03\x04" + bytes(99), "is no TensorRT engine"),
    ],
    ids=["empty", "magic only", "header cut", "end cut", "last byte", "grown", "an ONNX file", "a zip"],
)
def test_refuses_a_file_that_is_not_the_engine(engine: Path, content: bytes, says: str) -> None:
    """A foreign, truncated or altered file never reaches TensorRT, which might crash on it."""
    engine.write_bytes(content)
    with pytest.raises(ModelError, match=says):
        read_engine_file(engine)
    assert str(engine) in refusal(lambda: read_engine_file(engine))


def test_refuses_what_is_not_there(tmp_path: Path) -> None:
    """A missing file and a directory are refused in one line."""
    assert "there is no such engine" in refusal(lambda: read_engine_file(tmp_path / "absent.engine"))
    with pytest.raises(ModelError, match="cannot be read"):
        read_engine_file(tmp_path)


def test_refuses_an_engine_without_its_manifest(engine: Path) -> None:
    """An engine that came alone is not run."""
    manifest_path(engine).unlink()
    assert "is missing" in refusal(lambda: read_engine_file(engine))


@pytest.mark.parametrize("change", [{"version": "10.16.1.11"}, {"precision": "fp32"}, {"device_name": "NVIDIA H100"}])
def test_refuses_an_edited_manifest(engine: Path, change: dict[str, str]) -> None:
    """A manifest changed by hand, to get an engine accepted, is found out."""
    path = manifest_path(engine)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert "it was changed after the build" in refusal(lambda: read_engine_file(engine))


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "null", '{"schema_version": 99}'])
def test_refuses_a_broken_manifest(engine: Path, text: str) -> None:
    """Half a manifest, another one's or none at all is refused like a missing one."""
    manifest_path(engine).write_text(text)
    refusal(lambda: read_engine_file(engine))


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (plan_of("10.16.1.11"), "was built by tensorrt 10.16.1.11, its manifest says tensorrt 11.4.0.106"),
        (plan_of(magic=b"vtrt"), "was built by tensorrt-rtx 11.4.0.106, its manifest says tensorrt 11.4.0.106"),
    ],
    ids=["version", "flavour"],
)
def test_refuses_a_header_that_contradicts_the_manifest(tmp_path: Path, plan: bytes, says: str) -> None:
    """What the plan says about itself counts, whatever the manifest claims."""
    engine = write_engine(tmp_path / "polyp.engine", plan=plan)
    assert says in refusal(lambda: read_engine_file(engine))


def test_reads_both_flavours(tmp_path: Path) -> None:
    """TensorRT-RTX's magic and version are its own."""
    plan = plan_of("1.7.1.116", magic=b"vtrt")
    changes: dict[str, Any] = {"flavour": "tensorrt-rtx", "version": "1.7.1.116", "targets": ("SM86",)}
    engine = write_engine(tmp_path / "rtx.engine", plan=plan, device_name=None, compute_capability=None, **changes)
    assert read_engine_file(engine).manifest.flavour == "tensorrt-rtx"


@pytest.mark.parametrize(
    "tensors",
    [
        (),
        contract_tensors(ModelSpec("tiny", 64, 48))[:1],
        contract_tensors(ModelSpec("tiny", 48, 64)),
        (*contract_tensors(ModelSpec("tiny", 64, 48)), TensorInfo("more", "float16", (1,), False)),
        tuple(replace(tensor, dtype="float32") for tensor in contract_tensors(ModelSpec("tiny", 64, 48))),
        tuple(replace(tensor, is_input=not tensor.is_input) for tensor in contract_tensors(ModelSpec("tiny", 64, 48))),
    ],
    ids=["none", "no output", "size swapped", "one more", "dtype", "directions swapped"],
)
def test_refuses_tensors_outside_the_contract(tmp_path: Path, tensors: tuple[TensorInfo, ...]) -> None:
    """Buffers are laid out after the contract: an engine with other tensors would read and write past them."""
    engine = write_engine(tmp_path / "polyp.engine", tensors=tensors)
    text = refusal(lambda: read_engine_file(engine))
    assert "the contract says frames uint8 [-1, 48, 64, 3], probability uint8 [-1, 48, 64]" in text


def test_refuses_another_version_of_tensorrt(engine: Path) -> None:
    """A plan runs with the very version that built it, to the last digit."""
    file = read_engine_file(engine)
    check_version(file, VERSION)
    text = refusal(lambda: check_version(file, "11.4.0.107"))
    assert "was built by tensorrt 11.4.0.106, and 11.4.0.107 is installed" in text


def test_refuses_another_gpu(engine: Path) -> None:
    """An engine of TensorRT belongs to one GPU model; the line names both machines."""
    file = read_engine_file(engine)
    assert choose_gpu(file, (OTHER, A4000)) == A4000
    for gpus in ((OTHER,), (BLACKWELL,), (replace(A4000, compute_capability="8.9"),), ()):
        text = refusal(lambda: choose_gpu(file, gpus))  # noqa: B023  # called at once
        assert f"was built for {GPU_NAME} (compute capability 8.6), and this machine has" in text
        assert all(gpu.name in text for gpu in gpus)


@pytest.mark.parametrize(
    ("targets", "fitting"),
    [(("SM86",), [A4000, OTHER]), (("SM86", "SM120"), [A4000, OTHER, BLACKWELL]), (("SM89",), [])],
)
def test_an_engine_of_rtx_goes_by_compute_capability(targets: tuple[str, ...], fitting: list[Gpu]) -> None:
    """TensorRT-RTX builds for compute capabilities: any GPU of one of them will do."""
    manifest = manifest_of(plan_of(), flavour="tensorrt-rtx", targets=targets, device_name=None)
    assert [gpu for gpu in (A4000, OTHER, BLACKWELL) if fits(manifest, gpu)] == fitting


def test_names_the_targets_that_do_not_fit(tmp_path: Path) -> None:
    """The line says which compute capabilities an engine was built for, and which is here."""
    plan = plan_of("1.7.1.116", magic=b"vtrt")
    changes: dict[str, Any] = {"flavour": "tensorrt-rtx", "version": "1.7.1.116", "targets": ("SM75", "SM86")}
    file = read_engine_file(write_engine(tmp_path / "rtx.engine", plan=plan, device_name=None, **changes))
    text = refusal(lambda: choose_gpu(file, (BLACKWELL,)))
    assert "was built for compute capability SM75, SM86" in text
    assert "RTX 5090 (compute capability 12.0)" in text


def test_the_command_that_mends_builds_the_same(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Precision, batches and library are the engine's; the model is named unless it is the packaged one."""
    path = tmp_path / "my engine.engine"
    manifest: EngineManifest = manifest_of(plan_of(), tiny_model_path, precision="int8", batches=(1, 8))
    tail = f"-o '{path}' --runtime tensorrt --precision int8 --batch 1,8"
    assert mend_command(path, manifest) == f"rt-seg build-engine MODEL.onnx {tail}"
    known = replace(manifest, options={"model": "/models/a b.onnx"})
    assert mend_command(path, known) == f"rt-seg build-engine '/models/a b.onnx' {tail}"
    monkeypatch.setattr(checks, "PACKAGED_MODEL", tiny_model_path)
    assert mend_command(path, manifest) == f"rt-seg build-engine {tail}"
