"""From an ONNX model to a plan, by TensorRT or TensorRT-RTX. Every name used here exists in 10.16, 11.4 and RTX 1.7."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from rt_seg.engines.spec import INPUT_NAME, ModelSpec
from rt_seg.errors import EngineError, InputError, ModelError

from .audit import audit_fp16
from .checks import contract_tensors
from .flavour import BuildLibrary
from .interrupt import cancelling
from .manifest import BuildPrecision, TensorInfo

Progress = Callable[[str], None]

# what each step says in addition where there is no driver, whatever went wrong
_NOISE = ("catchCudaError", "cudaError", "Begin node", "End node", "While parsing node number")


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled engine.

    Attributes:
        data: What is written to the file.
        tensors: Inputs and outputs.
        float32: What the dtype audit found in an FP16 network, all of it meant to be.
        timing_cache: What was measured on the GPU, for the next build; None where there is no such thing.
    """

    data: bytes = field(repr=False)
    tensors: tuple[TensorInfo, ...]
    float32: tuple[str, ...]
    timing_cache: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class CompileSettings:
    """What `compile_plan` needs to know.

    Attributes:
        origin: The model's file, for messages.
        spec: Of the model.
        precision: FP16 networks are audited.
        batches: One optimisation profile each.
        targets: For TensorRT-RTX.
        timing_cache: An earlier one; empty: a fresh one; None: none.
    """

    origin: Path
    spec: ModelSpec
    precision: BuildPrecision
    batches: Sequence[int]
    targets: Sequence[str]
    timing_cache: bytes | None = field(repr=False, default=None)


def compile_plan(model: ModelProto, settings: CompileSettings, library: BuildLibrary, progress: Progress) -> Plan:
    """Parse, audit and build.

    Args:
        model: In the precision that it is to run in: the network is strongly typed.
        settings: The rest.
        library: What builds.
        progress: Is told the phase that is going on.

    Raises:
        ModelError: The parser refuses the model, or it is typed otherwise than it should be.
        InputError: An impossible batch.
        EngineError: The library could not build it; holds its reason.
        KeyboardInterrupt: By Ctrl-C, as soon as the library lets go.
    """
    library.log.take()  # what earlier builds left
    job = _Compilation(settings, library, progress)
    return job.run(model)


class _Compilation:
    """One build. Builder, network and configuration live as long as it does, and the library's logger for ever."""

    def __init__(self, settings: CompileSettings, library: BuildLibrary, progress: Progress) -> None:
        self._settings = settings
        self._library = library
        self._trt = library.trt
        self._progress = progress
        try:
            self._builder = self._trt.Builder(library.log.logger)
        except TypeError as exc:  # pybind11's, of a null pointer
            raise EngineError(f"{library.title} cannot begin to build ({self._reason()})") from exc
        # TensorRT 11 ignores the flag: there every network is strongly typed
        flags = 1 << int(self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        self._network = self._builder.create_network(flags)
        self._config = self._builder.create_builder_config()

    def run(self, model: ModelProto) -> Plan:
        self._progress("parsing")
        self._parse(model)
        tensors = self._check_tensors()
        fp16 = self._settings.precision == "fp16"
        float32 = audit_fp16(self._network, self._trt, model) if fp16 else ()
        self._configure()
        cache = self._attach_timing_cache()
        data = self._build()
        return Plan(data, tensors, float32, None if cache is None else bytes(cache.serialize()))

    def _parse(self, model: ModelProto) -> None:
        parser = self._trt.OnnxParser(self._network, self._library.log.logger)
        if parser.parse(model.SerializeToString()):
            return
        origin, title = self._settings.origin, self._library.title
        if parser.num_errors == 0:
            raise ModelError(f"{origin}: {title} cannot parse it ({self._reason()}); export the model again")
        error = parser.get_error(0)
        node = f"node {error.node_name() or 'without a name'} ({error.node_operator() or 'unknown operator'})"
        raise ModelError(
            f"{origin}: {title} refuses {node}: {_quiet(error.desc())}; export the model without it"
        )  # fmt: skip

    def _check_tensors(self) -> tuple[TensorInfo, ...]:
        network = self._network
        inputs = (self._describe(network.get_input(place), True) for place in range(network.num_inputs))
        outputs = (self._describe(network.get_output(place), False) for place in range(network.num_outputs))
        found = (*inputs, *outputs)
        wanted = contract_tensors(self._settings.spec)
        if found != wanted:
            raise ModelError(
                f"{self._settings.origin}: parsed, it has the tensors {found}, the contract says {wanted}"
            )  # fmt: skip
        return found

    def _describe(self, tensor: Any, is_input: bool) -> TensorInfo:
        dtype = np.dtype(self._trt.nptype(tensor.dtype)).name
        return TensorInfo(tensor.name, dtype, tuple(tensor.shape), is_input)

    def _configure(self) -> None:
        # TF32 has the mantissa of FP16: what is to be float32 would not be
        self._config.clear_flag(self._trt.BuilderFlag.TF32)
        for batch in self._settings.batches:
            self._add_profile(batch)
        if self._library.flavour == "tensorrt-rtx":
            # without it the engine cannot be captured in a CUDA graph
            self._config.set_flag(self._trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
        if self._settings.targets:
            self._config.num_compute_capabilities = len(self._settings.targets)
        for place, target in enumerate(self._settings.targets):
            if not self._config.set_compute_capability(getattr(self._trt.ComputeCapability, target), place):
                raise InputError(f"{self._library.title} does not build for {target} ({self._reason()})")

    def _add_profile(self, batch: int) -> None:
        spec = self._settings.spec
        shape = (batch, spec.height, spec.width, 3)
        profile = self._builder.create_optimization_profile()
        try:
            profile.set_shape(INPUT_NAME, shape, shape, shape)
            added = self._config.add_optimization_profile(profile)
        except RuntimeError as exc:
            raise InputError(f"{self._library.title} refuses a batch of {batch} ({exc}); give another one") from exc
        if added < 0:  # what a bad range gives, without an exception
            raise InputError(f"{self._library.title} refuses a batch of {batch} ({self._reason()}); give another one")

    def _attach_timing_cache(self) -> Any | None:
        earlier = self._settings.timing_cache
        if earlier is None:
            return None
        cache = self._config.create_timing_cache(earlier)
        # measured on another GPU or by another version, it would be no use: begin a fresh one
        if cache is None or not self._config.set_timing_cache(cache, ignore_mismatch=False):
            self._progress("the timing cache is of another GPU or version: a fresh one is begun")
            cache = self._config.create_timing_cache(b"")
            self._config.set_timing_cache(cache, ignore_mismatch=False)
        return cache

    def _build(self) -> bytes:
        monitor = _make_monitor(self._trt, self._progress)
        self._config.progress_monitor = monitor
        with cancelling(monitor.cancel):
            plan = self._builder.build_serialized_network(self._network, self._config)
        if plan is None:
            raise EngineError(
                f"{self._library.title} could not build {self._settings.origin}: {self._reason()}; "
                "a smaller --batch or another --precision may do"
            )
        return bytes(plan)

    def _reason(self) -> str:
        """What the library logged, without what it always says."""
        return _quiet(self._library.log.take().replace(" / ", "\n")) or "it gave no reason"


def _quiet(text: str) -> str:
    lines = [line for line in text.splitlines() if not any(noise in line for noise in _NOISE)]
    return " ".join(" ".join(lines or text.splitlines()).split())


def _make_monitor(trt: Any, progress: Progress) -> Any:
    """An ``IProgressMonitor`` that names the phases and lets a build be cancelled; its base class is known only now."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # the module is chosen at run time
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)  # TensorRT asks for this call by name, not through super()
            self.cancelled = False

        def cancel(self) -> None:
            self.cancelled = True

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is not None:
                progress(f"{phase_name[:1].lower()}{phase_name[1:]} ({num_steps} steps)")

        def step_complete(self, phase_name: str, step: int) -> bool:  # noqa: ARG002  TensorRT's signature
            return not self.cancelled

        def phase_finish(self, phase_name: str) -> None:
            pass

    return Monitor()
