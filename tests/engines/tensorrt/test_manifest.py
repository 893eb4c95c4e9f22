"""The manifest beside an engine: what it says, what is refused; writing two files as one; where engines are kept."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rt_seg.engines.spec import ModelSpec
from rt_seg.engines.tensorrt.cache import cached_engine_path, cached_engines, gpu_target
from rt_seg.engines.tensorrt.files import check_writable, write_together
from rt_seg.engines.tensorrt.manifest import EngineManifest, TensorInfo, manifest_path
from rt_seg.errors import ModelError, OutputError


def manifest(**changes: Any) -> EngineManifest:
    """A manifest with something in every field."""
    values = EngineManifest(
        spec=ModelSpec("tiny", 64, 48, quality={"mdice": 0.9}, class_names=("polyp",)),
        onnx_sha256="ab" * 32,
        plan_sha256="cd" * 32,
        flavour="tensorrt-rtx",
        version="1.7.1.116",
        device_name=None,
        compute_capability=None,
        targets=("SM86", "SM89"),
        precision="fp16",
        batches=(1, 4),
        tensors=(TensorInfo("frames", "uint8", (-1, 48, 64, 3), True),),
        gate={"mdice": 0.9991, "images": 5},
        options={"tf32": False, "model": "tiny.onnx", "rounds": 2, "none": None},
        built_at="2026-01-01T00:00:00+00:00",
        rt_seg_version="0.1.0",
    )
    return replace(values, **changes)


def test_manifest_is_read_back_equal(tmp_path: Path) -> None:
    """What is saved beside an engine is what is loaded, every field of it, and nothing else lies there."""
    engine = tmp_path / "polyp.engine"
    manifest().save(engine)
    assert EngineManifest.load(engine) == manifest()
    assert [path.name for path in tmp_path.iterdir()] == ["polyp.engine.json"]
    assert manifest_path(engine).name == "polyp.engine.json"


def _drop(values: dict[str, Any]) -> None:
    del values["targets"]


def _add(values: dict[str, Any]) -> None:
    values["colour"] = "red"


def _edit(values: dict[str, Any]) -> None:
    values["spec"]["threshold"] = 0.1


def _other_version(values: dict[str, Any]) -> None:
    values["schema_version"] = 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_drop, r"missing: \['targets'\]"),
        (_add, r"unknown: \['colour'\]"),
        (_edit, "changed after the build"),
        (_other_version, "schema version 2, this rt-seg reads 1"),
    ],
)
def test_changed_manifest_is_refused(change: Callable[[dict[str, Any]], None], reason: str, tmp_path: Path) -> None:
    """A manifest that somebody edited, or of another version, is refused with the command that mends it."""
    engine = tmp_path / "polyp.engine"
    values = json.loads(manifest().to_json())
    change(values)
    manifest_path(engine).write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ModelError, match=f"polyp.engine.json: .*{reason}.*rt-seg build-engine MODEL.onnx -o .*") as hit:
        EngineManifest.load(engine)
    assert "\n" not in str(hit.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "{}", "[" * 100_000, '{"schema_version": 1}'])
def test_what_is_no_manifest_is_refused(text: str, tmp_path: Path) -> None:
    """Whatever lies there in place of a manifest ends in one line."""
    with pytest.raises(ModelError, match="rt-seg build-engine") as hit:
        EngineManifest.from_json(text, tmp_path / "polyp.engine")
    assert "\n" not in str(hit.value)


def test_missing_and_unreadable_manifests_are_refused(tmp_path: Path) -> None:
    """An engine is not run without a manifest that can be read."""
    engine = tmp_path / "polyp.engine"
    with pytest.raises(ModelError, match=r"is missing.*rt-seg build-engine"):
        EngineManifest.load(engine)
    manifest_path(engine).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match=r"cannot be read.*rt-seg build-engine"):
        EngineManifest.load(engine)


@pytest.mark.parametrize(
    "changes",
    [
        {"batches": ()},
        {"batches": (0,)},
        {"batches": (1.5,)},
        {"precision": "fp8"},
        {"flavour": "tensorflow"},
        {"targets": "SM86"},
        {"gate": {"mdice": "good"}},
        {"options": {"list": []}},
        {"onnx_sha256": None},
        {"tensors": ("frames",)},
    ],
)
def test_impossible_values_are_refused(changes: dict[str, Any]) -> None:
    """A manifest that exists can be relied on."""
    with pytest.raises(ModelError, match=f"wrong type or value in {next(iter(changes))}"):
        manifest(**changes)


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
@pytest.mark.parametrize("earlier", [{}, {"a": b"one", "b": b"two"}, {"b": b"two"}], ids=["new", "both", "second"])
def test_files_are_written_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: dict[str, bytes], links: bool
) -> None:
    """An interruption between two files leaves what was there before, and no temporary file."""
    folder = tmp_path / "new"
    write_together({folder / name: data for name, data in earlier.items()} or {folder / "c": b"three"})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    original = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target == folder / "b" and self.read_bytes() == b"four":
            raise KeyboardInterrupt
        return original(self, target)

    def refuse(_self: Path, target: Path) -> None:
        if not target.exists():
            raise FileNotFoundError
        raise PermissionError

    monkeypatch.setattr(Path, "replace", replace)
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    with pytest.raises(KeyboardInterrupt):
        write_together({folder / "a": b"three", folder / "b": b"four"})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    monkeypatch.undo()
    write_together({folder / "a": b"three", folder / "b": b"four"})
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after == {**before, "a": b"three", "b": b"four"}


def test_unwritable_places_are_refused_before_the_work(tmp_path: Path) -> None:
    """A directory in place of the file, and a file in place of the folder, are named."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a directory"):
        check_writable(tmp_path)
    with pytest.raises(OutputError, match=r"x.engine: cannot be written \(.*\)"):
        check_writable(tmp_path / "file" / "x.engine")
    check_writable(tmp_path / "deeper" / "x.engine")
    assert list((tmp_path / "deeper").iterdir()) == []


def test_cache_tells_engines_apart(user_cache: Path) -> None:
    """Model, target, precision and library each give another file; all of a model are found, the newest first."""
    sha = "12" * 32
    target = gpu_target("NVIDIA RTX A4000/8Q", "8.6")
    paths = {
        cached_engine_path(sha, target, "fp16", "tensorrt"),
        cached_engine_path(sha, target, "int8", "tensorrt"),
        cached_engine_path(sha, "SM86+SM89", "fp16", "tensorrt-rtx"),
        cached_engine_path("34" * 32, target, "fp16", "tensorrt"),
    }
    assert len(paths) == 4
    assert all(user_cache in path.parents and path.suffix == ".engine" for path in paths)
    assert cached_engines(sha) == ()
    for path in paths:
        write_together({path: b"plan", manifest_path(path): b"{}"})
    found = cached_engines(sha)
    assert len(found) == 3
    assert set(found) < paths
    times = [path.stat().st_mtime_ns for path in found]
    assert times == sorted(times, reverse=True)
