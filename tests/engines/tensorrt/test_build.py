"""Building engines by TensorRT-RTX, ahead of time and without a GPU; everything that is refused on the way.

What is built here is not run: that needs a GPU.
"""

import hashlib
import importlib
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from rt_seg.engines.load import PACKAGED_MODEL
from rt_seg.engines.model_file import sha256_of
from rt_seg.engines.samples import load_samples
from rt_seg.engines.tensorrt.audit import audit_fp16
from rt_seg.engines.tensorrt.build import BuildSettings, BuiltEngine, build_engine
from rt_seg.engines.tensorrt.checks import read_engine_file
from rt_seg.engines.tensorrt.compile import CompileSettings, compile_plan
from rt_seg.engines.tensorrt.driver import Driver, Gpu
from rt_seg.engines.tensorrt.flavour import BuildLibrary, load_build_library
from rt_seg.engines.tensorrt.fp16 import to_fp16
from rt_seg.engines.tensorrt.manifest import EngineManifest, manifest_path
from rt_seg.engines.tensorrt.source import SourceModel, read_source
from rt_seg.errors import DataError, EngineError, InputError, MissingDependencyError, ModelError, OutputError

from .networks import convolutions, deployable, node, write
from .test_fp16 import MILD

pytestmark = pytest.mark.slow

NO_GPU = Driver(problem="there is no NVIDIA driver on this machine; install it")
ONE_GPU = Driver("580.95.05", (13, 0), (Gpu(0, "NVIDIA RTX A4000", "8.6", 16 << 30),))


class Notes:
    """A report that keeps what it is told, and may do something at a step."""

    def __init__(self, at: str = "nothing", act: Callable[[], None] = lambda: None) -> None:
        self.notes: list[str] = []
        self.steps: list[str] = []
        self._at, self._act = at, act

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, text: str) -> None:
        self.steps.append(text)
        if self._at in text:
            self._act()


@pytest.fixture(scope="module")
def small_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployable file of 32x32 that passes its gate; read-only."""
    return write(deployable(*convolutions(MILD)), tmp_path_factory.mktemp("small") / "small.onnx")


@pytest.fixture
def settings(small_path: Path, tmp_path: Path) -> BuildSettings:
    """An FP32 build of the small file, which has no gate: quick."""
    output = tmp_path / "built" / "small.engine"
    return BuildSettings(small_path, output, "fp32", "tensorrt-rtx", targets=("SM86",))


@pytest.fixture
def library() -> BuildLibrary:
    """TensorRT-RTX."""
    return load_build_library("tensorrt-rtx", NO_GPU)


def build(settings: BuildSettings, **changes: Any) -> BuiltEngine:
    """Build without a GPU."""
    return build_engine(replace(settings, **changes), Notes(), NO_GPU)


def plan_of(model: Any, source: SourceModel, library: BuildLibrary, *batches: int) -> bytes:
    """Compile an FP16 model for SM86."""
    settings = CompileSettings(source.path, source.spec, "fp16", batches or (1,), ("SM86",))
    return compile_plan(model, settings, library, lambda _: None).data


def left(settings: BuildSettings) -> list[Path]:
    """What lies where the engine would: hidden files, too."""
    assert settings.output is not None
    return sorted(settings.output.parent.iterdir()) if settings.output.parent.exists() else []


def test_packaged_model_becomes_an_engine_for_the_cache(user_cache: Path, library: BuildLibrary) -> None:
    """Without -o the FP16 engine goes into the user's cache; it passed its gate, and is the same when built again."""
    settings = BuildSettings(PACKAGED_MODEL, targets=("SM86",))
    built = build_engine(settings, Notes(), NO_GPU)
    assert user_cache in built.path.parents
    assert built.gate is not None
    assert built.gate.images == len(load_samples())
    assert built.gate.mdice > 0.99
    assert built.kept == built.float32 == ()
    plan = built.path.read_bytes()
    assert plan[:4] == b"vtrt"
    source = read_source(PACKAGED_MODEL)
    assert plan_of(to_fp16(source.model), source, library) == plan
    file = read_engine_file(built.path)  # what running checks first
    assert file.manifest == built.manifest
    assert file.manifest.onnx_sha256 == sha256_of(PACKAGED_MODEL)


def lively(name: str) -> Any:
    """An untrained Keras network whose inner values have the spread of a trained one's."""
    from rt_seg.engines.resize import resize_image
    from rt_seg.train.frameworks import keras, layers
    from rt_seg.train.models import build_model

    keras.utils.set_random_seed(0)
    model = build_model(name, 64, "none", base_filters=4)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    frames = np.stack([resize_image(sample.image, 64, 64) for sample in load_samples()])
    model(frames.astype(np.float32), training=True)  # batch norms take the pictures' own statistics
    return model


def _architectures() -> list[str]:
    """Every network that can be trained but the EfficientNets, of which the packaged model is one."""
    from rt_seg.train.models import MODEL_NAMES

    return [name for name in MODEL_NAMES if "efficientnet" not in name]


@pytest.mark.parametrize("name", _architectures())
def test_architecture_becomes_the_same_engine_twice(name: str, tmp_path: Path, library: BuildLibrary) -> None:
    """Each network parses in FP16, holds no float32 tensor unasked, compiles, and gives the same bytes again."""
    from rt_seg.engines.spec import ModelSpec
    from rt_seg.train.export import build_onnx

    path = write(build_onnx(lively(name), ModelSpec(name, 64, 64)), tmp_path / "model.onnx")
    source = read_source(path)
    model = to_fp16(source.model)
    plan = plan_of(model, source, library)
    assert plan[:4] == b"vtrt"
    assert plan_of(model, source, library) == plan


def test_manifest_says_how_the_engine_came_to_be(settings: BuildSettings, library: BuildLibrary) -> None:
    """Hashes, library, targets, batches, tensors and gate are those of this build."""
    built = build(settings, precision="fp16", batches=(1, 4), targets=("sm89", "8.6"))
    manifest = EngineManifest.load(built.path)
    assert manifest == built.manifest
    assert manifest.plan_sha256 == hashlib.sha256(built.path.read_bytes()).hexdigest()
    assert manifest.onnx_sha256 == sha256_of(settings.model)
    assert (manifest.flavour, manifest.version) == ("tensorrt-rtx", library.trt.__version__)
    assert (manifest.device_name, manifest.compute_capability) == (None, None)
    assert manifest.targets == ("SM86", "SM89")
    assert manifest.batches == (1, 4)
    assert [(item.name, item.dtype, item.shape, item.is_input) for item in manifest.tensors] == [
        ("frames", "uint8", (-1, 32, 32, 3), True),
        ("probability", "uint8", (-1, 32, 32), False),
    ]
    assert manifest.gate["mdice"] >= manifest.gate["limit"] == 0.99
    assert manifest.options["model"] == str(settings.model)
    assert left(settings) == [built.path, manifest_path(built.path)]


def test_float32_is_the_file_itself(settings: BuildSettings) -> None:
    """FP32 has no gate, as nothing was converted, and says so."""
    built = build(settings)
    assert built.gate is None
    assert built.manifest.gate == {}
    assert built.manifest.precision == "fp32"


def test_int8_is_calibrated_on_pictures(settings: BuildSettings, tmp_path: Path) -> None:
    """Without an int8 neighbour, half of the given pictures calibrate and the gate runs on the others."""
    import cv2

    (tmp_path / "data" / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(96):
        picture = rng.integers(0, 256, (4, 4, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        cv2.imwrite(str(tmp_path / "data" / "images" / f"{number:02d}.png"), picture)
    built = build(settings, precision="int8", gate_data=tmp_path / "data")
    assert built.gate is not None
    assert built.gate.images == 48
    assert built.manifest.options["ranges"] == "48 pictures of the gate's data"
    with pytest.raises(ModelError, match=r"has no small.int8.onnx beside it.*--gate-data with at least 96"):
        build(settings, precision="int8")


def test_engine_for_this_machines_gpu_needs_no_target(settings: BuildSettings) -> None:
    """Where there is a GPU its compute capability is the target; without one, all from Ampere on are."""
    built = build_engine(replace(settings, targets=()), Notes(), ONE_GPU)
    assert built.manifest.targets == ("SM86",)
    assert "SM75" not in build(settings, targets=()).manifest.targets


@pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")  # here in TensorRT's place
def test_tensorrt_builds_for_the_gpu_and_keeps_its_timings(
    settings: BuildSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of TensorRT itself, gone with TensorRT-RTX in its place: GPU in the manifest, timing cache written."""
    monkeypatch.setitem(sys.modules, "tensorrt", importlib.import_module("tensorrt_rtx"))
    timings = tmp_path / "timings"
    changed = replace(settings, flavour="tensorrt", targets=(), timing_cache=timings)
    built = build_engine(changed, Notes(), ONE_GPU)
    assert (built.manifest.device_name, built.manifest.compute_capability) == ("NVIDIA RTX A4000", "8.6")
    assert (built.manifest.flavour, built.manifest.targets) == ("tensorrt", ())
    first = timings.read_bytes()
    build_engine(changed, Notes(), ONE_GPU)
    assert timings.read_bytes() == first
    with pytest.raises(InputError, match=r"--gpu is for --runtime tensorrt-rtx"):
        build_engine(replace(changed, targets=("SM86",)), Notes(), ONE_GPU)


@pytest.mark.parametrize("batches", [(), (0,), (-1,), (1, 1)])
def test_impossible_batches_are_refused(batches: tuple[int, ...], settings: BuildSettings) -> None:
    """A batch is a whole number from 1, named once."""
    with pytest.raises(InputError, match=r"batch sizes are whole numbers from 1, each named once"):
        build(settings, batches=batches)


def test_batch_that_the_library_refuses(settings: BuildSettings, small_path: Path, library: BuildLibrary) -> None:
    """A profile that cannot be, and a batch that no memory holds, end with the library's reason; nothing is written."""
    source = read_source(small_path)
    with pytest.raises(InputError, match=r"refuses a batch of -2 \(Shape.*; give another one"):
        plan_of(to_fp16(source.model), source, library, -2)
    with pytest.raises(EngineError, match=r"could not build .*volume exceeds.*a smaller --batch"):
        build(settings, batches=(2_000_000_000,))
    assert left(settings) == []


def test_impossible_target_is_refused(settings: BuildSettings) -> None:
    """Hopper is none of TensorRT-RTX's GPUs: the message names those that are."""
    with pytest.raises(InputError, match=r"does not build for SM90; it knows SM75, .*SM86"):
        build(settings, targets=("SM90",))


def test_other_options_that_cannot_be(settings: BuildSettings, tmp_path: Path) -> None:
    """A timing cache for TensorRT-RTX, and an engine by another suffix."""
    with pytest.raises(InputError, match=r"--timing-cache: TensorRT-RTX"):
        build(settings, timing_cache=tmp_path / "timings")
    with pytest.raises(InputError, match=r"small.plan: the name of an engine ends in .engine"):
        build(settings, output=tmp_path / "small.plan")


def test_parser_names_the_node_that_it_refuses(settings: BuildSettings, tmp_path: Path) -> None:
    """What TensorRT cannot parse is refused with its message and the node's name."""
    core, constants = convolutions(MILD)
    core[-1].output[0] = "sure"
    core += [node("Cast", ["sure"], "in_between", to=TensorProto.UINT8), node("Cast", ["in_between"], "back", to=1),
             node("Mul", ["back", "per_255"], "core/probability")]  # fmt: skip
    path = write(deployable(core, constants), tmp_path / "odd.onnx")
    with pytest.raises(ModelError, match=r"odd.onnx: TensorRT-RTX .* refuses node in_between \(Cast\): .*UINT8") as hit:
        build(settings, model=path)
    assert "\n" not in str(hit.value)
    assert "cudaError" not in str(hit.value)
    assert left(settings) == []


def test_file_that_is_no_source_is_refused(settings: BuildSettings, tmp_path: Path) -> None:
    """An int8 file is built from its float32 file; what is no model ends as everywhere."""
    with pytest.raises(ModelError, match=r"is quantised; give the f32 file"):
        build(settings, model=PACKAGED_MODEL.with_name("polyp.int8.onnx"))
    (tmp_path / "text.onnx").write_text("no model", encoding="ascii")
    with pytest.raises(ModelError, match=r"text.onnx: is not an ONNX file"):
        build(settings, model=tmp_path / "text.onnx")


def test_model_below_the_gate_leaves_nothing(settings: BuildSettings, tmp_path: Path) -> None:
    """A network that overflows FP16 all along is refused before anything is written."""
    path = write(deployable(*convolutions((1.0, 1e8, *(1.0,) * 10, 1e-8, 1.0))), tmp_path / "hot.onnx")
    with pytest.raises(ModelError, match=r"so nothing was written.*layers are not finite.*conv1"):
        build(settings, model=path, precision="fp16")
    assert left(settings) == []


def test_gate_data_that_cannot_be_used(settings: BuildSettings, tmp_path: Path) -> None:
    """No folder, an empty one, and a broken picture are named."""
    for name in ("empty", "broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no picture")
    for folder, reason in (("none", "is not a folder"), ("empty", "holds no picture"), ("broken", "a.png: cannot be")):
        with pytest.raises(DataError, match=reason):
            build(settings, precision="fp16", gate_data=tmp_path / folder)


def test_full_disk_leaves_nothing(settings: BuildSettings) -> None:
    """When the engine cannot be written whole, its beginning is removed and the reason named."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, limits[1]))  # the kernel's own refusal, as on a full disk
    try:
        with pytest.raises(OutputError, match=r"small.engine: cannot be written .*check the path and the free space"):
            build(settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert left(settings) == []


@pytest.mark.parametrize("step", ["steps)", "reading"])
def test_interrupted_build_leaves_nothing(step: str, settings: BuildSettings) -> None:
    """Ctrl-C ends a build, also while the library is at it, and leaves neither files nor handlers behind."""
    before = signal.getsignal(signal.SIGINT)
    interrupt = Notes(step, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        build_engine(settings, interrupt, NO_GPU)
    assert left(settings) == []
    assert signal.getsignal(signal.SIGINT) is before


def test_missing_libraries_are_named_with_their_command(
    settings: BuildSettings, hide_module: Callable[[str], None]
) -> None:
    """No TensorRT-RTX, no TensorRT, and neither of them: each with what to install."""
    hide_module("tensorrt_rtx")
    hide_module("tensorrt")
    with pytest.raises(MissingDependencyError, match=r"tensorrt_rtx.*pip install 'rt-seg\[tensorrt-rtx\]'"):
        build(settings)
    with pytest.raises(MissingDependencyError, match=r"tensorrt.*pip install 'rt-seg\[tensorrt\]'"):
        build_engine(replace(settings, flavour="tensorrt", targets=()), Notes(), ONE_GPU)
    with pytest.raises(MissingDependencyError, match=r"neither TensorRT nor TensorRT-RTX is installed"):
        build(settings, flavour=None)


def test_tensorrt_without_a_gpu_is_refused_before_its_import(
    settings: BuildSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT can crash without a driver, so it is not even imported: the message says how to build here."""
    monkeypatch.setitem(sys.modules, "tensorrt", importlib.import_module("tensorrt_rtx"))
    with pytest.raises(EngineError, match=r"no NVIDIA driver on this machine.*--runtime tensorrt-rtx"):
        build(settings, flavour="tensorrt")


def test_audit_lists_float32_and_refuses_what_is_not_meant(small_path: Path, library: BuildLibrary) -> None:
    """A network parsed from the float32 file is no FP16 network; one with a kept node holds that node in float32."""
    source, trt = read_source(small_path), library.trt
    builder = trt.Builder(library.log.logger)

    def parse(model: Any) -> Any:
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        assert trt.OnnxParser(network, library.log.logger).parse(model.SerializeToString())
        return network

    whole, kept = to_fp16(source.model), to_fp16(source.model, ["conv3"])
    assert audit_fp16(parse(whole), trt, whole) == ()
    found = audit_fp16(parse(kept), trt, kept)
    assert {"conv3", "conv2/fp32"} <= set(found)
    assert not {"conv2", "relu3"} & set(found)
    with pytest.raises(ModelError, match=r"float32 tensors that nobody asked for.*conv3"):
        audit_fp16(parse(kept), trt, whole)
