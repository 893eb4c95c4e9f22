"""TensorRT and TensorRT-RTX: building an engine and running it.

Importing this package imports neither library: without a driver TensorRT can crash the process where no ``except``
helps.
"""
