"""What real TensorRT bindings offer, on a machine that may have no GPU; see `Binding`."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

BINDINGS = ("tensorrt 10.16.1.11", "tensorrt 11.4.0.106", "tensorrt-rtx 1.7.1.116")

# What the bindings look for in TensorRT's libraries when they are imported. None of it is called in these tests.
_ENTRY_POINTS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)


@dataclass(frozen=True, slots=True)
class Binding:
    """A TensorRT library as its own Python module describes it.

    Attributes:
        name: One of `BINDINGS`.
        members: By name such as ``Builder.create_network``: each overload as ``(flags) -> INetworkDefinition``, or
            ``property``, ``property, writable``, ``class`` with its constructors, or the type of a constant.
    """

    name: str
    members: dict[str, list[str]] = field(repr=False)


def _not_here(reason: str) -> NoReturn:
    """Skip, or fail where the environment says that the bindings have to be there."""
    if os.environ.get("RT_SEG_REQUIRE_BINDINGS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _run(*command: str | Path) -> str:
    """What a program prints, or no test: the last line of its complaints is the reason."""
    ended = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        _not_here(f"{Path(command[0]).name} failed: {(ended.stderr.strip() or 'without a word').splitlines()[-1]}")
    return ended.stdout


def _download(version: str, folder: Path) -> Path:
    """The real binding of a version, kept between test runs: its libraries would be 2 GB from an index of NVIDIA's."""
    if not (folder / "tensorrt_bindings").is_dir():
        fresh = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        wanted = f"tensorrt-cu12-bindings=={version}"
        _run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", fresh, wanted)
        fresh.rename(folder)
    return folder


def _stand_ins(version: str, folder: Path) -> list[Path]:
    """Libraries with the names of TensorRT's and its entry points, all of which return null."""
    compiler = shutil.which("cc")
    if compiler is None:
        _not_here("there is no C compiler for the libraries that stand in for TensorRT's")
    major = version.partition(".")[0]
    source = folder / "stand_in.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in _ENTRY_POINTS), encoding="ascii")
    libraries = [folder / f"lib{name}.so.{major}" for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser")]
    for library in libraries:
        _run(compiler, "-shared", "-fPIC", f"-Wl,-soname,{library.name}", "-o", library, source)
    return libraries


@pytest.fixture(scope="session", params=BINDINGS)
def binding(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Binding:
    """Each binding in turn: TensorRT 10 and 11 over stand-in libraries, TensorRT-RTX as it is installed."""
    name: str = request.param
    flavour, version = name.split()
    module, folder, libraries = "tensorrt_rtx", "", list[Path]()
    if flavour == "tensorrt":
        module, folder = "tensorrt_bindings", str(_download(version, _cache(request) / version))
        libraries = _stand_ins(version, tmp_path_factory.mktemp("stand-ins"))
    found = json.loads(_run(sys.executable, Path(__file__).with_name("bindings_dump.py"), module, folder, *libraries))
    assert found["version"] == version
    return Binding(name, found["members"])


def _cache(request: pytest.FixtureRequest) -> Path:
    assert request.config.cache is not None  # but where its plugin is switched off
    return request.config.cache.mkdir("tensorrt-bindings")


@pytest.fixture
def hide_module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a package look as if it were not installed: ``hide_module("onnxruntime")``."""

    def hide(name: str) -> None:
        monkeypatch.setitem(sys.modules, name, None)  # None is Python's own mark for it

    return hide
