"""CUDA graphs by the driver API, which pycuda does not have: one launch in place of one a kernel.

Signatures are those of CUDA 12's and 13's ``cuda.h``; ``cuGraphInstantiateWithFlags`` is there since CUDA 11.4.
"""

import ctypes
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from .driver import describe_error

_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: calls of other threads neither disturb nor join the capture
_HANDLE = ctypes.c_void_p

# name -> types of the arguments; each returns a CUresult
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuStreamBeginCapture_v2": (_HANDLE, ctypes.c_int),
    "cuStreamEndCapture": (_HANDLE, ctypes.POINTER(_HANDLE)),
    "cuGraphInstantiateWithFlags": (ctypes.POINTER(_HANDLE), _HANDLE, ctypes.c_ulonglong),
    "cuGraphLaunch": (_HANDLE, _HANDLE),
    "cuGraphExecDestroy": (_HANDLE,),
    "cuGraphDestroy": (_HANDLE,),
}


class GraphError(Exception):
    """A graph could not be captured or launched; the message is the driver's."""


class GraphDriver:
    """The driver's calls that capture and launch graphs; each raises `GraphError` if it does not succeed.

    Use it on the thread on which the stream's context is current.

    Raises:
        GraphError: No driver, or one without these calls.
    """

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
            self._calls = {name: self._declare(name, types) for name, types in _SIGNATURES.items()}
        except (OSError, AttributeError) as exc:
            raise GraphError(f"the driver has no CUDA graphs: {exc}") from exc

    def call(self, name: str, *arguments: Any) -> None:
        """Make one call by its name in ``cuda.h``."""
        code = self._calls[name](*arguments)
        if code != 0:
            raise GraphError(f"{name} returned {describe_error(self._library, code)}")

    def _declare(self, name: str, types: tuple[Any, ...]) -> Any:
        function = getattr(self._library, name)
        function.argtypes, function.restype = types, ctypes.c_int
        return function


class CudaGraph:
    """What a stream was given once, ready to be launched again as a whole. Not thread-safe.

    Args:
        driver: The driver's calls.
        executable: A ``CUgraphExec``, owned from now on.
    """

    def __init__(self, driver: GraphDriver, executable: ctypes.c_void_p) -> None:
        self._driver = driver
        self._executable: ctypes.c_void_p | None = executable

    @classmethod
    def capture(cls, driver: GraphDriver, stream: int, enqueue: Callable[[], None]) -> Self:
        """Record what a function enqueues; nothing of it runs.

        Args:
            driver: The driver's calls.
            stream: Handle of the stream: not the default one, and idle.
            enqueue: Enqueues on that stream, and on it alone.

        Raises:
            GraphError: The driver refuses. The stream is out of capture mode again, on this way and on every other.
            Exception: What `enqueue` raised.
        """
        graph, executable = _HANDLE(), _HANDLE()
        driver.call("cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)
        try:
            _record(driver, stream, enqueue, graph)
            driver.call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, 0)
        finally:
            if graph:  # the executable is a copy of its own
                driver.call("cuGraphDestroy", graph)
        return cls(driver, executable)

    def launch(self, stream: int) -> None:
        """Enqueue all of it.

        Raises:
            GraphError: The driver refuses.
        """
        self._driver.call("cuGraphLaunch", self._executable, stream)

    def close(self) -> None:
        """Destroy it; a second call does nothing.

        Raises:
            GraphError: The driver refuses, as it does with all calls after the GPU has failed.
        """
        executable, self._executable = self._executable, None
        if executable is not None:
            self._driver.call("cuGraphExecDestroy", executable)


def _record(driver: GraphDriver, stream: int, enqueue: Callable[[], None], graph: ctypes.c_void_p) -> None:
    """Let a stream record what is enqueued, and end that whatever happens, or the stream would stay unusable."""
    try:
        enqueue()
    except BaseException:
        with suppress(GraphError):  # a recording that was broken off ends with an error, which is not the cause
            driver.call("cuStreamEndCapture", stream, ctypes.byref(graph))
        raise
    driver.call("cuStreamEndCapture", stream, ctypes.byref(graph))
