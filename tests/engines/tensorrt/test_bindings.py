"""Every TensorRT name that rt-seg uses exists, with the signature it is used with, in the real bindings.

The bindings of TensorRT 10 and 11 are the real ones over stand-in libraries: names and signatures are proven, what the
calls do is not.
"""

import ast
from pathlib import Path

import pytest

from rt_seg.engines.tensorrt import audit, compile, flavour  # noqa: A004  the module's name

from .conftest import Binding

pytestmark = pytest.mark.slow

# name -> a signature, as `Binding.members` spells it
BUILDING = {
    "Builder": "(logger) -> None",
    "Builder.build_serialized_network": "(network, config) -> IHostMemory",
    "Builder.create_builder_config": "() -> IBuilderConfig",
    "Builder.create_network": "(flags) -> INetworkDefinition",
    "Builder.create_optimization_profile": "() -> IOptimizationProfile",
    "BuilderFlag.TF32": "BuilderFlag",
    "IBuilderConfig.add_optimization_profile": "(profile) -> int",
    "IBuilderConfig.clear_flag": "(flag) -> None",
    "IBuilderConfig.create_timing_cache": "(serialized_timing_cache) -> ITimingCache",
    "IBuilderConfig.progress_monitor": "property, writable",
    "IBuilderConfig.set_flag": "(flag) -> None",
    "IBuilderConfig.set_timing_cache": "(cache, ignore_mismatch) -> bool",
    "IHostMemory": "class",
    "ILayer.get_input": "(index) -> ITensor",
    "ILayer.get_output": "(index) -> ITensor",
    "ILayer.metadata": "property",
    "ILayer.name": "property",
    "ILayer.num_inputs": "property",
    "ILayer.num_outputs": "property",
    "INetworkDefinition.get_input": "(index) -> ITensor",
    "INetworkDefinition.get_layer": "(index) -> ILayer",
    "INetworkDefinition.get_output": "(index) -> ITensor",
    "INetworkDefinition.num_inputs": "property",
    "INetworkDefinition.num_layers": "property",
    "INetworkDefinition.num_outputs": "property",
    "IOptimizationProfile.set_shape": "(input, min, opt, max) -> None",
    "IProgressMonitor": "() -> None",
    "IProgressMonitor.phase_finish": "(phase_name) -> None",
    "IProgressMonitor.phase_start": "(phase_name, parent_phase, num_steps) -> None",
    "IProgressMonitor.step_complete": "(phase_name, step) -> bool",
    "ITensor.dtype": "property",
    "ITensor.name": "property",
    "ITensor.shape": "property",
    "ITimingCache.serialize": "() -> IHostMemory",
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED": "NetworkDefinitionCreationFlag",
    "OnnxParser": "(network, logger) -> None",
    "OnnxParser.get_error": "(index) -> IParserError",
    "OnnxParser.num_errors": "property",
    "OnnxParser.parse": "(model, path) -> bool",
    "ParserError.desc": "() -> str",
    "ParserError.node_name": "() -> str",
    "ParserError.node_operator": "() -> str",
    "float32": "DataType",
}
# used with TensorRT-RTX alone: it builds for GPUs that are not there
BUILDING_RTX = {
    "BuilderFlag.REQUIRE_USER_ALLOCATION": "BuilderFlag",
    "ComputeCapability.SM86": "ComputeCapability",
    "IBuilderConfig.num_compute_capabilities": "property, writable",
    "IBuilderConfig.set_compute_capability": "(compute_capability, index) -> bool",
}
RUNNING: dict[str, str] = {
    "ExecutionContextAllocationStrategy.USER_MANAGED": "ExecutionContextAllocationStrategy",
    "ICudaEngine.create_execution_context": "(runtime_config) -> IExecutionContext",
    "ICudaEngine.create_runtime_config": "() -> IRuntimeConfig",
    "ICudaEngine.device_memory_size_v2": "property",
    "ICudaEngine.get_tensor_dtype": "(name) -> DataType",
    "ICudaEngine.get_tensor_mode": "(name) -> TensorIOMode",
    "ICudaEngine.get_tensor_name": "(index) -> str",
    "ICudaEngine.get_tensor_profile_shape": "(name, profile_index) -> list[Dims]",
    "ICudaEngine.get_tensor_shape": "(name) -> Dims",
    "ICudaEngine.num_io_tensors": "property",
    "ICudaEngine.num_optimization_profiles": "property",
    "IExecutionContext.execute_async_v3": "(stream_handle) -> bool",
    "IExecutionContext.get_tensor_shape": "(name) -> Dims",
    "IExecutionContext.infer_shapes": "() -> list[str]",
    "IExecutionContext.set_device_memory": "(memory, size) -> None",
    "IExecutionContext.set_input_shape": "(name, shape) -> bool",
    "IExecutionContext.set_optimization_profile_async": "(profile_index, stream_handle) -> bool",
    "IExecutionContext.set_tensor_address": "(name, memory) -> bool",
    "ILogger": "() -> None",
    "ILogger.Severity": "class",
    "ILogger.log": "(severity, msg) -> None",
    "IRuntimeConfig.set_execution_context_allocation_strategy": "(strategy) -> None",
    "Runtime": "(logger) -> None",
    "Runtime.deserialize_cuda_engine": "(serialized_engine) -> ICudaEngine",
    "TensorIOMode.INPUT": "TensorIOMode",
    "nptype": "function",
}
# used with TensorRT-RTX alone, as TensorRT does not know them
RUNNING_RTX = {
    "DynamicShapesKernelSpecializationStrategy.EAGER": "DynamicShapesKernelSpecializationStrategy",
    "IExecutionContext.is_stream_capturable": "(stream) -> bool",
    "IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy": "property, writable",
}


@pytest.mark.parametrize(("name", "signature"), sorted({**BUILDING, **RUNNING}.items()))
def test_name_exists_with_its_signature(binding: Binding, name: str, signature: str) -> None:
    """The binding has the name, and one of its overloads takes and returns what the code relies on."""
    found = binding.members.get(name, [])
    assert signature in found or f"{signature}, writable" in found


@pytest.mark.parametrize(("name", "signature"), sorted({**BUILDING_RTX, **RUNNING_RTX}.items()))
def test_name_is_there_where_it_is_used(binding: Binding, name: str, signature: str) -> None:
    """What only TensorRT-RTX is asked for exists there, and there alone: the code has to tell the two apart."""
    expected = [signature] if binding.name.startswith("tensorrt-rtx") else []
    assert binding.members.get(name, []) == expected


def _attributes(path: Path) -> set[str]:
    """Every ``something.NAME`` in a file."""
    return {node.attr for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Attribute)}


def test_no_name_is_left_out(binding: Binding) -> None:
    """Whatever the building side asks of anything, and TensorRT's classes have, stands in the list above."""
    offered = {name.rpartition(".")[2] for name in binding.members}
    listed = {part for name in (*BUILDING, *BUILDING_RTX, *RUNNING) for part in name.split(".")}
    used = {name for module in (audit, compile, flavour) for name in _attributes(Path(str(module.__file__)))}
    ours = {"FLOAT", "append", "log", "logger", "precision"}  # of onnx, lists and rt-seg
    assert (used & offered) - listed - ours == set()
