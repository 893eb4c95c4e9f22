"""`rt-seg doctor`: what it finds on this and on pretended machines, what it advises, and its exit code."""

import json
import os
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rt_seg import doctor, doctor_checks
from rt_seg.cli import app
from rt_seg.doctor_checks import Finding
from rt_seg.engines.model_file import sha256_of
from rt_seg.engines.tensorrt import libraries
from rt_seg.engines.tensorrt.cache import cached_engine_path
from rt_seg.engines.tensorrt.driver import Driver, Gpu, probe_driver
from rt_seg.engines.tensorrt.engine import load_tensorrt_engine

from .engines.tensorrt.engine_files import write_engine
from .engines.tensorrt.fakes import GPU_NAME, Machine, no_library

GPU = Gpu(0, GPU_NAME, "8.6", 16 * 2**30)
WITH_GPU = Driver("580.95.05", (13, 0), (GPU,))
NO_DRIVER = Driver(problem="there is no driver; install it")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache without engines, or with those of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def only(findings: Iterable[Finding], part: str) -> Finding:
    """The one finding about a part."""
    (found,) = [item for item in findings if item.part == part]
    return found


def fake_versions(monkeypatch: pytest.MonkeyPatch, **installed: str) -> None:
    """Pretend that these distributions are installed, and no others."""

    def version(name: str) -> str:
        known = {key.replace("_", "-"): value for key, value in installed.items()}
        if name not in known:
            raise PackageNotFoundError(name)
        return known[name]

    monkeypatch.setattr(doctor_checks, "version", version)
    monkeypatch.setattr(libraries, "version", version)


def test_prints_every_section() -> None:
    """On any machine there is a line for each part, and the last line says where rt-seg runs."""
    with no_library():
        result = CliRunner(env={"COLUMNS": "120", "TERM": "dumb"}).invoke(app, ["doctor"])
    for part in ("This machine", "CPU", "packaged model", "NVIDIA driver", "TensorRT", "TensorRT-RTX", "pycuda"):
        assert part in result.stdout
    for part in ("engines", "video", "recording", "display", "camera", "extra train", "extra plots"):
        assert part in result.stdout
    broken = "!!" in result.stdout
    assert result.exit_code == int(broken)
    assert broken or "rt-seg runs here, on the CPU." in result.stdout


def test_json_is_all_that_is_printed() -> None:
    """For machines: one document with every section, its findings with state and remedy."""
    with no_library():
        result = CliRunner().invoke(app, ["doctor", "--json"])
    values = json.loads(result.stdout)
    assert list(values) == ["This machine", "GPU", "Video", "Optional packages"]
    assert {row["state"] for rows in values.values() for row in rows} <= {"ok", "absent", "broken"}
    assert values["This machine"][0]["usable_cores"] >= 1
    assert values["GPU"][0]["part"] == "NVIDIA driver"
    assert values["GPU"][0]["remedy"].startswith("install it")


@pytest.mark.parametrize(
    ("state", "code", "says"), [("absent", 0, "runs here"), ("broken", 1, "Does not work: thing.")]
)
def test_exit_code_is_whether_something_is_broken(
    state: doctor_checks.State, code: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is optional and not there is no failure; what does not work is."""
    monkeypatch.setattr(doctor, "examine", lambda: {"GPU": [Finding("thing", state, "found", "mend it")]})
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == code
    assert "mend it" in result.stdout
    assert says in result.stdout


def test_a_package_that_is_broken_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without its model rt-seg is not installed whole."""
    monkeypatch.setattr(doctor_checks, "PACKAGED_MODEL", tmp_path / "polyp.onnx")
    found = only(doctor_checks.check_cpu(), "packaged model")
    assert found.state == "broken"
    assert "pip install" in found.remedy


def test_tells_driver_and_gpu() -> None:
    """Driver and GPUs with what TensorRT goes by."""
    findings = list(doctor_checks.check_gpu(WITH_GPU))
    assert only(findings, "NVIDIA driver").text == "580.95.05, runs CUDA 13.0"
    assert only(findings, "GPU 0").text == f"{GPU_NAME} (compute capability 8.6), 16.0 GiB"


def test_a_driver_that_shows_no_gpu_is_broken() -> None:
    """A driver without a GPU is a defect that mends, unlike a machine without either."""
    found = only(doctor_checks.check_gpu(Driver("580", (13, 0), problem="cuInit fails; restart")), "GPU")
    assert (found.state, found.text, found.remedy) == ("broken", "cuInit fails", "restart")
    (absent,) = doctor_checks.check_gpu(NO_DRIVER)
    assert absent.state == "absent"


def test_libraries_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has the command that installs it."""
    fake_versions(monkeypatch)
    findings = list(doctor_checks.check_tensorrt(WITH_GPU))
    assert [(item.part, item.state) for item in findings] == [
        ("TensorRT", "absent"),
        ("TensorRT-RTX", "absent"),
        ("pycuda", "absent"),
    ]
    assert all("pip install" in item.remedy for item in findings)


def test_without_a_gpu_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT can crash without a driver: its version is read, not its module."""
    fake_versions(monkeypatch, tensorrt="11.4.0.106", pycuda="2026.1")
    monkeypatch.setattr(doctor_checks, "why_not_importable", pytest.fail)
    findings = list(doctor_checks.check_tensorrt(NO_DRIVER))
    assert only(findings, "TensorRT").text == "11.4.0.106, not loaded, as there is no GPU"
    assert only(findings, "pycuda").state == "ok"


def test_with_a_gpu_libraries_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be imported is broken, with the loader's reason; a driver that is too old is named."""
    fake_versions(monkeypatch, tensorrt="11.4.0.106", tensorrt_cu13="11.4.0.106", pycuda="2026.1")
    problems = {"tensorrt": "", "pycuda.driver": "ImportError: libcurand.so.10"}
    monkeypatch.setattr(doctor_checks, "why_not_importable", problems.__getitem__)
    findings = list(doctor_checks.check_tensorrt(WITH_GPU))
    assert only(findings, "TensorRT").state == "ok"
    assert only(findings, "pycuda").text == "2026.1, cannot be loaded: ImportError: libcurand.so.10"
    old = only(doctor_checks.check_tensorrt(Driver("550", (12, 4), (GPU,))), "TensorRT")
    assert old.state == "broken"
    assert "is too old: it runs CUDA 12.4" in old.text
    assert old.remedy.startswith("update the driver")


@pytest.mark.parametrize(("module", "says"), [("json", ""), ("no_such_module", "No module named 'no_such_module'")])
def test_imports_are_tried_in_a_process_of_their_own(module: str, says: str) -> None:
    """A module that crashes cannot take the doctor along; the last line of its complaint is told."""
    assert says in doctor_checks.why_not_importable(module)
    assert module == "json" or doctor_checks.why_not_importable(module)


def test_a_crash_on_import_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A module that kills its process leaves no word but its exit code."""
    (tmp_path / "crashing.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    assert doctor_checks.why_not_importable("crashing") == "it ended with -11"


@pytest.fixture
def engine(tiny_model_path: Path) -> Path:
    """An engine in the cache, of a model that is not the packaged one."""
    path = cached_engine_path(sha256_of(tiny_model_path), "gpu", "fp16", "tensorrt")
    return write_engine(path, tiny_model_path)


def test_no_engine_yet() -> None:
    """With a GPU the command that builds one is told."""
    (found,) = doctor_checks.check_engines(WITH_GPU)
    assert (found.state, found.remedy) == ("absent", "rt-seg build-engine")
    (found,) = doctor_checks.check_engines(NO_DRIVER)
    assert found.remedy == ""


def test_states_of_an_engine(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitting, for another GPU, for another version, without a GPU, damaged: each is told apart."""
    fake_versions(monkeypatch, tensorrt="11.4.0.106")
    (found,) = doctor_checks.check_engines(WITH_GPU)
    assert (found.state, found.values["proven"]) == ("ok", False)
    assert "fp16 by tensorrt 11.4.0.106; is proven at its first start" in found.text
    (found,) = doctor_checks.check_engines(NO_DRIVER)
    assert found.state == "absent"
    (found,) = doctor_checks.check_engines(Driver("580", (13, 0), (Gpu(0, "NVIDIA T4", "7.5", 0),)))
    assert found.state == "absent"
    assert found.remedy.startswith("rt-seg build-engine")
    fake_versions(monkeypatch, tensorrt="11.5.0.1")
    (found,) = doctor_checks.check_engines(WITH_GPU)
    assert "11.5.0.1 is installed" in found.text
    engine.write_bytes(b"ftrt")
    (found,) = doctor_checks.check_engines(WITH_GPU)
    assert (found.state, found.remedy[:19]) == ("broken", "rt-seg build-engine")


def test_a_proven_engine_shows_its_figures(tmp_path: Path, write_tiny_model: Callable[..., Path]) -> None:
    """What the self-test measured is shown again."""
    model = write_tiny_model(tmp_path / "tiny.onnx", width=64, height=48)
    path = cached_engine_path(sha256_of(model), "gpu", "fp16", "tensorrt")
    write_engine(path, model, options={"model": str(model)})
    machine = Machine()
    with pytest.MonkeyPatch.context() as patch:
        machine.install(patch)
        load_tensorrt_engine(path).close()
        fake_versions(patch, tensorrt="11.4.0.106")
        found = only(doctor_checks.check_engines(probe_driver()), "engine")
    assert "proven here (mDice 1.0000 with the CPU engine" in found.text


def test_cameras(tmp_path: Path) -> None:
    """Devices in their order, with the kernel's names; one that may not be opened has the remedy."""
    devices, names = tmp_path / "dev", tmp_path / "names"
    devices.mkdir()
    (none,) = doctor_checks.check_cameras(devices, names)
    assert none.state == "absent"
    for number in (10, 2):
        (devices / f"video{number}").touch()
    (names / "video2").mkdir(parents=True)
    (names / "video2" / "name").write_text("HD capture\n")
    found = list(doctor_checks.check_cameras(devices, names))
    assert [item.text for item in found] == [f"{devices}/video2: HD capture", f"{devices}/video10: unnamed"]


def test_a_camera_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The group that may open it is named."""
    (tmp_path / "video0").touch()

    def refuse(*_: object) -> bool:
        return False

    monkeypatch.setattr(os, "access", refuse)
    (found,) = doctor_checks.check_cameras(tmp_path, tmp_path)
    assert found.state == "broken"
    assert "usermod -aG video" in found.remedy


def test_extras_go_by_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an extra needs and is not installed is listed, with the command for the whole extra."""
    fake_versions(monkeypatch, keras="3.15")
    found = only(doctor_checks.check_extras(), "extra train")
    assert found.state == "absent"
    assert "tensorflow" in found.text
    assert "keras," not in found.text
    assert found.remedy == "pip install 'rt-seg[train]'"


def test_a_codec_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libx264 all works but recording."""

    def has(_codec: object, name: str, _mode: str) -> bool:
        return name != "libx264"

    monkeypatch.setattr(doctor_checks, "_has", has)
    assert only(doctor_checks.check_video(), "recording").state == "absent"


def test_codecs_are_those_of_pyav() -> None:
    """The real PyAV knows H.264 both ways, and no codec that does not exist."""
    from av.codec import Codec

    has = doctor_checks._has  # pyright: ignore[reportPrivateUsage] - asked about a name that no check asks for
    assert has(Codec, "h264", "r")
    assert has(Codec, "libx264", "w")
    assert not has(Codec, "no-such-codec", "r")
