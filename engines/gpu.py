"""Asks the NVIDIA driver, by ctypes alone, whether there is a GPU."""

import ctypes


def count_gpus() -> int:
    """Number of NVIDIA GPUs that the driver shows; 0 without a driver.

    Without a driver TensorRT can crash the process where no ``except`` helps, so this is asked before any of it is
    imported. ``cuInit`` makes no CUDA context.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
