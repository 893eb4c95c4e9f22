"""The names of the CUDA driver and of pycuda that rt-seg uses, against NVIDIA's headers and pycuda's own source.

Neither can be imported without a GPU's driver. What the calls do is not tested here; that they exist with these
arguments is.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rt_seg.engines.tensorrt import cuda_graph, driver, slots, worker

from .test_bindings import RUNNING, RUNNING_RTX

HEADERS = ("nvidia-cuda-runtime-cu12==12.4.127", "nvidia-cuda-runtime==13.0.96")
PYCUDA = "pycuda==2026.1"

# as cuda.h declares them; a name with _v2 is what the header's macro turns the plain one into
DRIVER_CALLS = {
    "cuInit": "unsigned int Flags",
    "cuDriverGetVersion": "int *driverVersion",
    "cuDeviceGetCount": "int *count",
    "cuDeviceGet": "CUdevice *device, int ordinal",
    "cuDeviceGetName": "char *name, int len, CUdevice dev",
    "cuDeviceGetAttribute": "int *pi, CUdevice_attribute attrib, CUdevice dev",
    "cuDeviceTotalMem_v2": "size_t *bytes, CUdevice dev",
    "cuGetErrorString": "CUresult error, const char **pStr",
    "cuStreamBeginCapture_v2": "CUstream hStream, CUstreamCaptureMode mode",
    "cuStreamEndCapture": "CUstream hStream, CUgraph *phGraph",
    "cuGraphInstantiateWithFlags": "CUgraphExec *phGraphExec, CUgraph hGraph, unsigned long long flags",
    "cuGraphLaunch": "CUgraphExec hGraphExec, CUstream hStream",
    "cuGraphExecDestroy": "CUgraphExec hGraphExec",
    "cuGraphDestroy": "CUgraph hGraph",
}
DRIVER_NUMBERS = {
    "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR": "75",
    "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR": "76",
    "CU_EVENT_BLOCKING_SYNC": "0x1",
    "CU_STREAM_CAPTURE_MODE_THREAD_LOCAL": "1",
    "CU_STREAM_NON_BLOCKING": "0x1",
    "CUDA_ERROR_NO_DEVICE": "100",
    "CUDA_ERROR_SYSTEM_NOT_READY": "802",
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": "803",
    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE": "804",
    "CUDA_ERROR_UNKNOWN": "999",
}

# name -> how pycuda's wrapper declares it, with single spaces
PYCUDA_NAMES = {
    "init": 'py::def("init", init, py::arg("flags")=0)',
    "Device": 'py::class_<cl>("Device", py::no_init) .def("__init__", py::make_constructor(make_device))',
    "retain_primary_context": '.def("retain_primary_context", &cl::retain_primary_context, (py::args("self")))',
    "push": '.def("push", context_push)',
    "pop": '.DEF_SIMPLE_METHOD(pop) .staticmethod("pop")',
    "detach": '.staticmethod("attach") .DEF_SIMPLE_METHOD(detach)',
    "Stream": '("Stream", py::init<unsigned int>(py::arg("flags")=0)) .DEF_SIMPLE_METHOD(synchronize)',
    "handle": '.DEF_SIMPLE_METHOD(wait_for_event) #endif .add_property("handle", &cl::handle_int)',
    "Event": '("Event", py::init<py::optional<unsigned int> >(py::arg("flags")))',
    "record": '.def("record", &cl::record, py::arg("stream")=py::object(), py::return_self<>())',
    "synchronize": '.def("synchronize", &cl::synchronize, py::return_self<>())',
    "time_since": ".DEF_SIMPLE_METHOD(time_since)",
    "event_flags": 'py::enum_<CUevent_flags>("event_flags")',
    "BLOCKING_SYNC": '.value("BLOCKING_SYNC", CU_EVENT_BLOCKING_SYNC)',
    "mem_alloc": 'py::def("mem_alloc", mem_alloc_wrap,',
    "pagelocked_empty": 'py::def("pagelocked_empty", numpy_empty<pagelocked_host_allocation>, '
    '(py::arg("shape"), py::arg("dtype"),',
    "memcpy_htod_async": '(py::args("dest"), py::arg("src"), py::arg("stream")=py::object()))',
    "memcpy_dtoh_async": 'py::def("memcpy_dtoh_async", py_memcpy_dtoh_async, '
    '(py::args("dest"), py::arg("src"), py::arg("stream")=py::object()))',
    "Error": "DECLARE_EXC(Error, NULL)",
    "MemoryError": "DECLARE_EXC(MemoryError, CudaError.get())",
}


def _fetch(requirement: str, folder: Path, *options: str) -> Path:
    """Download a distribution without what it needs, and keep it between test runs."""
    if not folder.is_dir():
        fresh = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *options, "--dest", str(fresh)]
        ended = subprocess.run([*command, requirement], capture_output=True, text=True, check=False, timeout=250)
        if ended.returncode != 0:
            reason = f"{requirement} cannot be downloaded: {ended.stderr.strip().splitlines()[-1]}"
            if os.environ.get("RT_SEG_REQUIRE_BINDINGS") == "1":
                pytest.fail(reason)
            pytest.skip(reason)
        fresh.rename(folder)
    (file,) = folder.iterdir()
    return file


def _folder(request: pytest.FixtureRequest) -> Path:
    make: Callable[[str], Path] = request.config.cache.mkdir
    return make("tensorrt-sources")


@pytest.fixture(scope="module", params=HEADERS)
def header(request: pytest.FixtureRequest) -> str:
    """NVIDIA's cuda.h, of CUDA 12 and of 13."""
    requirement: str = request.param
    with zipfile.ZipFile(_fetch(requirement, _folder(request) / requirement, "--only-binary=:all:")) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith("/include/cuda.h")]
        return wheel.read(name).decode()


@pytest.fixture(scope="module")
def wrapper(request: pytest.FixtureRequest) -> str:
    """The file of pycuda that declares what Python sees of the driver, with single spaces."""
    archive = _fetch(PYCUDA, _folder(request) / PYCUDA, "--no-binary=pycuda", "--no-build-isolation")
    with tarfile.open(archive) as sdist:
        (name,) = [name for name in sdist.getnames() if name.endswith("/wrap_cudadrv.cpp")]
        file = sdist.extractfile(name)
        assert file is not None
        return " ".join(file.read().decode().split())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arguments"), DRIVER_CALLS.items())
def test_driver_call_is_declared(header: str, name: str, arguments: str) -> None:
    """The header declares the call with these arguments, and maps the plain name to the one that is looked up."""
    plain = re.sub(r"_v2$|WithFlags$", "", name)
    assert f"CUresult CUDAAPI {plain}({arguments});" in header
    if plain != name:
        assert re.search(rf"#define {plain} +(__CUDA_API_PTSZ\()?{name}\b", header)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), DRIVER_NUMBERS.items())
def test_driver_number_is_right(header: str, name: str, value: str) -> None:
    """Constants that stand in the code as numbers have these values."""
    assert re.search(rf"\b{name} *= {value}\b", header)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "declaration"), PYCUDA_NAMES.items())
def test_pycuda_declares_it(wrapper: str, name: str, declaration: str) -> None:
    """Pycuda's wrapper declares the name with these arguments."""
    assert name in declaration or name.startswith("memcpy_htod")
    assert declaration in wrapper


def _attributes(tree: ast.AST, *owners: str) -> Iterator[str]:
    """Names that are looked up on any of these expressions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in owners:
            yield node.attr


def _tree(module: object) -> ast.Module:
    return ast.parse(Path(str(getattr(module, "__file__", ""))).read_text(encoding="utf-8"))


def test_the_lists_are_complete() -> None:
    """What the code calls of TensorRT, pycuda and the driver is what these tests check."""
    known = {part for name in (*RUNNING, *RUNNING_RTX) for part in name.split(".")} | PYCUDA_NAMES.keys()
    owners = ("trt", "libraries.trt", "cuda", "engine", "context", "config", "stream", "self._context", "self._stream")
    used = {
        name
        for module in (slots, worker)
        for name in _attributes(_tree(module), *owners, "self._runtime", "self._libraries.cuda", "cuda.event_flags")
    }
    assert {"execute_async_v3", "mem_alloc", "time_since", "deserialize_cuda_engine"} - used == {"time_since"}
    assert used - known == set()
    called = set(_attributes(_tree(driver), "library")) | set(cuda_graph._SIGNATURES)  # pyright: ignore[reportPrivateUsage] - the names by which it asks
    assert called == DRIVER_CALLS.keys()
